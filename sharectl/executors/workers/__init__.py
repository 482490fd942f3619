"""Workers near their backends: calls are offered, claimed, renewed and finished in the database of the state; a message is a hint."""
