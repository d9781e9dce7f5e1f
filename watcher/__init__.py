"""The folder watcher: which files have settled, the loop that admits them, and the sweep."""
