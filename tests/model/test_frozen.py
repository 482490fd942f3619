"""Frozen dataclasses with late methods behave as those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import typing

import pytest

from sharectl.model.frozen import NamedTuple, dataclass, field


@dataclass(frozen=True, slots=True)
class Late:
    """A class with all that a field can have."""

    name: str
    sizes: tuple[int, ...] = ()
    labels: dict[str, str] = field(default_factory=dict, hash=False)
    note: str = field(default="", repr=False, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Early:
    """Its twin, by the standard library."""

    name: str
    sizes: tuple[int, ...] = ()
    labels: dict[str, str] = dataclasses.field(default_factory=dict, hash=False)
    note: str = dataclasses.field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Derived(Late):
    """One that has its fields from another."""

    more: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """One that looks at what it is given."""

    size: int

    def __post_init__(self) -> None:
        """Refuse what is not a size."""
        if self.size < 0:
            message = "too small"
            raise ValueError(message)


@dataclass(frozen=True, slots=True, eq=False)
class Unique:
    """One that equals itself alone."""

    name: str


def test_it_reads_compares_and_hashes_as_the_twin_does() -> None:
    """What is printed, what is equal and what a set takes for the same are the standard library's."""
    late, early = (cls("a", (1,), {"x": "y"}, note="s") for cls in (Late, Early))
    assert repr(late) == repr(early).replace("Early", "Late")
    assert late == Late("a", (1,), {"x": "y"}, "another note")
    assert late != Late("b", (1,), {"x": "y"})
    assert late != early
    assert hash(late) == hash(early)
    assert len({late, Late("a", (1,), {})}) == 2


@pytest.mark.parametrize("cls", [Late, Early])
def test_it_is_made_by_the_same_signature(cls: type) -> None:
    """The parameters, their defaults, and what is said of one that is missing or unknown."""
    assert str(inspect.signature(cls)) == str(inspect.signature(Early))
    assert cls("a").labels is not cls("a").labels
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        cls()
    with pytest.raises(TypeError, match="unexpected keyword argument 'nam'"):
        cls(nam="a")


def test_it_is_the_same_before_its_methods_are_compiled_and_afterwards() -> None:
    """However often they have been called."""

    @dataclass(frozen=True, slots=True)
    class New(Late):
        more: int = 0

        def __post_init__(self) -> None:
            seen.append(self.name)

    seen: list[str] = []
    for number in range(6):
        new = New(str(number), note="s", more=1)
        assert (new.name, new.sizes, new.labels, new.note, new.more) == (str(number), (), {}, "s", 1)
        assert new == New(str(number), (), {}, "t", 1)
        assert new != New(str(number), more=2)
        assert new != Late(str(number))
        assert hash(new) == hash((str(number), (), 1))
        with pytest.raises(TypeError, match="got multiple values for argument 'name'"):
            New("a", name="b")  # type: ignore[misc]
        with pytest.raises(TypeError, match="takes from 2 to 6 positional arguments but 7 were given"):
            New("a", (), {}, "", 0, 0)  # type: ignore[call-arg]
    assert seen == [str(number) for number in range(6) for _ in range(3)]


def test_nothing_in_it_can_be_changed() -> None:
    """Neither a field nor anything else is set or deleted."""
    late = Late("a")
    for name in ("name", "other"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(late, name, "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        del late.name  # type: ignore[misc]
    assert not hasattr(late, "__dict__")


def test_it_is_copied_replaced_and_pickled() -> None:
    """As a value of the standard library's is."""
    late = Late("a", (1,))
    assert dataclasses.replace(late, name="b") == Late("b", (1,))
    assert dataclasses.asdict(late) == dataclasses.asdict(Early("a", (1,)))
    assert copy.deepcopy(late) == pickle.loads(pickle.dumps(late)) == late  # noqa: S301 - what was written here
    match late:
        case Late(name, sizes):
            assert (name, sizes) == ("a", (1,))


def test_one_derived_from_it_has_the_fields_of_both() -> None:
    """Also where the standard library derives it."""
    assert Derived("a", more=1) == Derived("a", more=1) != Derived("a", more=2)
    assert [each.name for each in dataclasses.fields(Derived)][-1] == "more"
    further = dataclasses.dataclass(frozen=True)(type("Further", (Late,), {"__annotations__": {}}))
    assert further("a").name == "a"


def test_what_a_class_says_itself_stays() -> None:
    """A check after making runs, and `eq=False` leaves identity."""
    with pytest.raises(ValueError, match="too small"):
        Checked(-1)
    assert Checked(1) == Checked(1)
    unique = Unique("a")
    assert unique != Unique("a")
    assert len({unique, Unique("a"), unique}) == 2


def test_a_method_reached_by_super_is_the_one_above() -> None:
    """Also the first time, when it is compiled: what the class below does about it happens once."""

    @dataclass(frozen=True, slots=True)
    class Above:
        name: str

    calls = []

    class Below(Above):
        def __init__(self, name: str) -> None:
            calls.append("__init__")
            super().__init__(name)

        def __repr__(self) -> str:
            calls.append("__repr__")
            return f"<{super().__repr__()}>"

        def __eq__(self, other: object) -> bool:
            calls.append("__eq__")
            return super().__eq__(other)

        def __hash__(self) -> int:
            calls.append("__hash__")
            return super().__hash__()

    below = Below("a")
    assert repr(below).endswith("Below(name='a')>")
    assert below == Below("a")
    assert isinstance(hash(below), int)
    assert calls == ["__init__", "__repr__", "__init__", "__eq__", "__hash__"]


def test_a_command_compiles_few_of_them() -> None:
    """Those whose values are made, and no others."""
    code = (
        "import sharectl.model.plans as plans; from sharectl.model.frozen import _Late\n"
        "print(sum(isinstance(vars(each).get('__init__'), _Late) for each in vars(plans).values() if hasattr(each, '__dataclass_fields__')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 10


class Quick(NamedTuple):
    """A named tuple with all that one can have."""

    name: str
    sizes: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """The sum of the sizes."""
        return sum(self.sizes)

    @classmethod
    def of(cls, *sizes: int) -> Quick:
        """Return one without a name."""
        return cls("", sizes)


class Usual(typing.NamedTuple):
    """Its twin, by the standard library."""

    name: str
    sizes: tuple[int, ...] = ()


def test_a_named_tuple_is_as_the_twin_is() -> None:
    """In what it is made of, equals, prints, is copied to and tells of itself."""
    quick, usual = Quick("a", (1, 2)), Usual("a", (1, 2))
    assert repr(quick) == repr(usual).replace("Usual", "Quick")
    assert (quick, quick._asdict(), Quick("b")) == (usual, usual._asdict(), Usual("b"))
    assert (quick.total, Quick.of(3), quick._replace(name="c")) == (3, ("", (3,)), ("c", (1, 2)))
    assert pickle.loads(pickle.dumps(quick)) == copy.deepcopy(quick) == quick  # noqa: S301 - what was written here
    assert typing.get_type_hints(Quick) == typing.get_type_hints(Usual)
    assert Quick.__doc__ == "A named tuple with all that one can have."
    assert inspect.signature(Quick).bind("a").arguments == {"name": "a"}
    assert (Quick.__mro__[1:], Quick.__module__) == (Usual.__mro__[1:], __name__)
    assert not hasattr(quick, "__dict__")
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        Quick()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        quick.name = "b"  # type: ignore[misc]
