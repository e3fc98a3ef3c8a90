"""Making it happen: the effects."""
