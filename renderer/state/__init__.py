"""Facts -> what is known; the lockfile."""
