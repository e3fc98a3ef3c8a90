"""A local server that speaks the five providers' APIs, for rehearsals and for tests.

It follows what the providers document, never what a client of theirs happens to send: every
refusal, odd envelope and late link that the documents mention can be met here, for free. What it
"sells" is written down (``GET /_/purchases``), so that a run can be judged by what it bought.

This package is a wing: nothing else imports it, and it imports nothing of the rest.
"""
