"""Scheduling: which pool each share goes to, by Manila's filters and weighers, with a reason for every refusal."""
