"""A copy of the state is made the state again, once that is agreed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sharectl.cli.session import edited_state

if TYPE_CHECKING:
    from sharectl.cli.session import Session
    from sharectl.state.sqlite.copies import Copy


def bring_back(session: Session, copy: Copy, lock_timeout: str, *, yes: bool, force: bool) -> None:
    """Make `copy` the state, once that is agreed to; a state that is damaged is set aside. Raises StateError."""
    from sharectl.workspace.interventions import bring_back_document, expect_document

    output = session.output
    path = session.project.state_path
    broken = _is_damaged(session)
    output.note(
        f"Copy {copy.name}: taken at {copy.taken_at}, serial {copy.serial}, {copy.mark.resources} resources, lineage {copy.lineage}."
    )
    if broken:
        output.note(f"The state at {path} is damaged; it is kept beside it under another name.")
    output.note("Changes made after that copy are not in it: the next plan shows where the backends differ.")
    session.agree(f"Make this the state at {path}?", yes=yes)
    document = copy_document(copy)
    expect_document(document, copy.name)
    if broken:
        from sharectl.state.sqlite.files import set_aside

        output.note(f"The damaged state is {set_aside(path)} now.")
    with edited_state(session, f"state restore {copy.name}", lock_timeout, create=True) as edit:
        bring_back_document(edit, document, force=force)
    output.note(f"The state is that of {copy.taken_at} now; look at `sharectl plan` before you apply.")


def copy_document(copy: Copy) -> bytes:
    """Return the content of a copy. Raises StateError where it is not whole."""
    from sharectl.state.sqlite.store import open_store

    store = open_store(copy.path, create=False)
    try:
        return b"".join(store.export_document())
    finally:
        store.close()


def _is_damaged(session: Session) -> bool:
    from sharectl.state.contract import StateCorruptError

    try:
        with session.repository.store(hint=False) as store:
            for _ in store.export_document():
                pass
    except StateCorruptError:
        return True
    return False
