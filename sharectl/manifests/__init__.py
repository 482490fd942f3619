"""Manifests: YAML documents that say what is wanted.

`project` finds the project file, `loader` reads and checks manifests into a `desired.Desired`, `write` makes manifests,
`schemas` holds the JSON Schema of each kind, `cache` keeps what was read before.
"""
