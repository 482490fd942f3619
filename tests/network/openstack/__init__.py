"""Programs that serve OpenStack's APIs to the tests; they run in virtual environments of their own, never in that of the tests."""
