import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import labutils
from labutils import settings
from labutils.settings import SettingsError

COURSE = Path(labutils.__file__).resolve().parents[1]
NUMBERS = {
    "LABUTILS_EPOCHS": (settings.epochs_cap, None, 1),
    "LABUTILS_SECONDS": (settings.seconds_cap, None, 1),
    "LABUTILS_SEED": (settings.seed, 0, 0),
}
FOLDERS = {
    "LABUTILS_DATA_DIR": (settings.data_dir, "data"),
    "LABUTILS_RESULTS_DIR": (settings.results_dir, "results"),
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No variable is set, and the current folder is not the course's."""
    for name in list(os.environ):
        if name.startswith("LABUTILS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def check_refused(call, name: str, value: str, *takes: str) -> None:
    """The error names the variable, the value, and what it takes."""
    with pytest.raises(SettingsError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{name}={value!r} cannot be used: it takes ")
    for words in takes:
        assert words in message
    assert message.endswith(f"Change it or unset {name}.")
    assert "\n" not in message


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("blank", [None, "", "  "])
def test_number_by_default(monkeypatch, name, blank):
    if blank is not None:
        monkeypatch.setenv(name, blank)
    read, default, _ = NUMBERS[name]
    assert read() == default


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", 1), ("500", 500), (" 7 ", 7), ("007", 7),
     ("4294967295", 2**32 - 1)],
)
def test_number_that_is_good(monkeypatch, name, value, expected):
    monkeypatch.setenv(name, value)
    assert NUMBERS[name][0]() == expected


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value",
    ["-1", "+1", "2.5", "1e3", "two", "5 epochs", "1_000", "0x10", "٣", "²",
     "4294967296", pytest.param("9" * 5000, id="5000 digits")],
)
def test_number_that_is_bad(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    read, _, smallest = NUMBERS[name]
    takes = f"a whole number from {smallest} to 4294967295"
    check_refused(read, name, value, takes)


@pytest.mark.parametrize("name", ["LABUTILS_EPOCHS", "LABUTILS_SECONDS"])
def test_nothing_at_all_is_refused(monkeypatch, name):
    monkeypatch.setenv(name, "0")
    check_refused(NUMBERS[name][0], name, "0", "whole number from 1")


def test_seed_zero_is_a_seed(monkeypatch):
    monkeypatch.setenv("LABUTILS_SEED", "0")
    assert settings.seed() == 0


# What an environment can hold: no zero character, no half of a pair.
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8")))
def test_any_value_is_a_number_in_range_or_a_settings_error(value):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABUTILS_SEED", value)
        try:
            seed = settings.seed()
        except SettingsError as error:
            assert "LABUTILS_SEED" in str(error)
        else:
            assert seed == int(value.strip() or 0)
            assert 0 <= seed < 2**32


def test_set_seed_makes_the_draws_repeat(monkeypatch):
    with torch.random.fork_rng():
        monkeypatch.setenv("LABUTILS_SEED", "12")
        assert settings.set_seed() == 12
        first = torch.rand(4)
        assert settings.set_seed() == 12
        assert torch.equal(torch.rand(4), first)
        monkeypatch.setenv("LABUTILS_SEED", "13")
        assert settings.set_seed() == 13
        assert not torch.equal(torch.rand(4), first)


def test_the_largest_seed_is_one_that_torch_takes(monkeypatch):
    monkeypatch.setenv("LABUTILS_SEED", str(settings.LARGEST))
    with torch.random.fork_rng():
        assert settings.set_seed() == settings.LARGEST


@pytest.mark.parametrize("name", FOLDERS)
def test_folder_by_default(name):
    read, folder = FOLDERS[name]
    assert read() == COURSE / folder


@pytest.mark.parametrize("name", FOLDERS)
def test_folder_that_is_named(monkeypatch, tmp_path, name):
    read = FOLDERS[name][0]
    monkeypatch.setenv(name, str(tmp_path))
    assert read() == tmp_path
    monkeypatch.setenv(name, str(tmp_path / "not" / "there" / "yet"))
    assert read() == tmp_path / "not" / "there" / "yet"
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [("here", COURSE / "here"), ("../beside", COURSE.parent / "beside"),
     (".", COURSE)],
)
def test_relative_folder_starts_at_the_course(
    monkeypatch, name, value, expected
):
    monkeypatch.setenv(name, value)
    assert FOLDERS[name][0]() == expected


@pytest.mark.parametrize("name", [*FOLDERS, "LABUTILS_TEXT"])
def test_tilde_is_the_home_folder(monkeypatch, tmp_path, name):
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv(name, "~/course")
    read = FOLDERS[name][0] if name in FOLDERS else settings.text
    assert read() == tmp_path / "course"


@pytest.mark.skipif(os.name == "nt", reason="Windows invents a folder")
@pytest.mark.parametrize("name", [*FOLDERS, "LABUTILS_TEXT"])
def test_tilde_with_an_unknown_user_is_refused(monkeypatch, name):
    value = "~nobody-of-this-name/course"
    monkeypatch.setenv(name, value)
    read = FOLDERS[name][0] if name in FOLDERS else settings.text
    check_refused(read, name, value, "a path", "user is unknown")


@pytest.mark.parametrize("name", FOLDERS)
def test_file_in_the_place_of_a_folder_is_refused(monkeypatch, tmp_path, name):
    path = tmp_path / "a file"
    path.touch()
    monkeypatch.setenv(name, str(path))
    check_refused(FOLDERS[name][0], name, str(path), "a folder", "a file")


def test_text_by_default(monkeypatch):
    assert settings.text() is None
    monkeypatch.setenv("LABUTILS_TEXT", "  ")
    assert settings.text() is None


def test_text_that_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LABUTILS_TEXT", str(tmp_path / "copy.txt"))
    assert settings.text() == tmp_path / "copy.txt"


def test_relative_text_starts_at_the_course(monkeypatch):
    monkeypatch.setenv("LABUTILS_TEXT", "../shared/copy.txt")
    assert settings.text() == COURSE.parent / "shared" / "copy.txt"


def test_practice_is_a_word_and_not_a_path(monkeypatch):
    monkeypatch.setenv("LABUTILS_TEXT", " practice ")
    assert settings.text() == settings.PRACTICE == "practice"
    monkeypatch.setenv("LABUTILS_TEXT", "./practice")
    assert settings.text() == COURSE / "practice"


@pytest.fixture
def machine(monkeypatch):
    """Pretend to have so many CUDA devices, and MPS or not."""

    def pretend(cuda: int, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(2, True, "cuda"), (1, False, "cuda"), (0, True, "cpu"),
     (0, False, "cpu")],
)
def test_device_by_default_is_the_fastest(machine, cuda, mps, expected):
    machine(cuda, mps)
    assert settings.device() == torch.device(expected)


@pytest.mark.parametrize("value", ["cpu", "cuda", "cuda:0", "cuda:1", "mps"])
def test_device_that_is_named(monkeypatch, machine, value):
    machine(2, True)
    monkeypatch.setenv("LABUTILS_DEVICE", value)
    assert settings.device() == torch.device(value)


@pytest.mark.parametrize(
    "value", ["cuda:2", "cuda:-1", "mps", "gpu", "CPU", "cpu:7", "meta"]
)
def test_device_that_is_bad(monkeypatch, machine, value):
    machine(2, False)
    monkeypatch.setenv("LABUTILS_DEVICE", value)
    check_refused(
        settings.device, "LABUTILS_DEVICE", value, "cuda, cuda:0, cuda:1, cpu"
    )


def test_device_that_this_machine_lacks(monkeypatch, machine):
    machine(0, False)
    monkeypatch.setenv("LABUTILS_DEVICE", "cuda")
    check_refused(
        settings.device, "LABUTILS_DEVICE", "cuda", "devices (cpu)"
    )


def test_home_of_a_checkout_is_the_folder_with_the_notebooks():
    assert settings.home() == COURSE
    assert (settings.home() / "notebooks").is_dir()


def test_home_of_an_installed_package_is_below_the_users(
    monkeypatch, tmp_path
):
    installed = tmp_path / "site-packages" / "labutils" / "settings.py"
    monkeypatch.setattr(settings, "__file__", str(installed))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "user")
    assert settings.home() == tmp_path / "user" / "labutils"
    assert settings.data_dir() == tmp_path / "user" / "labutils" / "data"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LABUTILS_DATA_DIR", "~nobody-of-this-name/data"),
        ("LABUTILS_RESULTS_DIR", __file__),
        ("LABUTILS_TEXT", "~nobody-of-this-name/text"),
        ("LABUTILS_EPOCHS", "many"),
        ("LABUTILS_SECONDS", "a minute"),
        ("LABUTILS_SEED", "-1"),
        ("LABUTILS_DEVICE", "abacus"),
    ],
)
def test_check_finds_whichever_is_bad(monkeypatch, name, value):
    settings.check()
    monkeypatch.setenv(name, value)
    check_refused(settings.check, name, value)
