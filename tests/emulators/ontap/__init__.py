"""An emulator of ONTAP's REST API: a stand-in for an array in tests, benchmarks and first steps.

What it accepts is read from the tables in `data/` (facts.py), not from what a client needs. A request goes through app.py (HTTP),
gateway.py (logins, roles, tunnelling), schema.py or query.py, and then one handler of a resource, which knows only the World and
its Call. operations.py is where resources register.
"""
