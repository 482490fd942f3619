"""Programs for those who work on sharectl."""
