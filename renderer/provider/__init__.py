"""Packs; job -> request; answer -> fact. Providers are data."""
