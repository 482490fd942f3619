"""The engine behind `sharectl.apply`: the loop of a run, its steps and verbs, recovery, and the lease that allows all of it."""
