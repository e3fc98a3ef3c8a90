"""Commands and the terminal."""
