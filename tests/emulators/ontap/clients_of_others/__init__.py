"""Programs of others let loose on the emulator; they run in the environment that .ci/ontap/setup makes, never in that of the tests."""
