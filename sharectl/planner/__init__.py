"""The planner behind `sharectl.plan`: drafts steps for each kind of resource, puts them in order, and holds them to the safety limits."""
