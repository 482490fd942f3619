"""The tests of sharectl; their folders mirror the package."""
