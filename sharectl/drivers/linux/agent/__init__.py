"""The agent: the part of the linux driver that runs on the storage host; it needs Python 3.11 and nothing else installed."""
