"""Everything that people and programs read: from plans, events and records to text, Markdown and JSON."""
