"""The commands on a data directory of their own, through the same entry point as a terminal's."""

import re
import sqlite3
from pathlib import Path

import pytest

from app.auth.keys import is_well_formed
from tests.fixtures.command_line import Run


def test_a_key_is_printed_alone_on_the_last_line(darkroom: Run) -> None:
    made = darkroom("keys", "create", "--account", "ada", "--credits", "12.5")
    assert made.exit_code == 0
    assert is_well_formed(made.last_line)


def test_an_account_is_opened_once_and_its_purchases_add_up(darkroom: Run) -> None:
    for amount in ("1.5", "0.0000014", "2"):
        darkroom("keys", "create", "--account", "ada", "--credits", amount)
    listed = darkroom("accounts", "list").out
    assert listed.count("ada") == 1
    assert "3.500001" in listed


def test_an_account_made_by_hand_gets_no_free_credits(darkroom: Run) -> None:
    darkroom("keys", "create", "--account", "ada", "--credits", "0")
    assert re.search(r"ada +standard +0 +0 ", darkroom("accounts", "list").out)


def test_lists_show_a_key_by_its_last_four_characters_only(darkroom: Run) -> None:
    key = darkroom("keys", "create", "--account", "ada", "--name", "laptop").last_line
    listed = darkroom("keys", "list").out
    assert key not in listed
    assert f"dk_live_…{key.rpartition('_')[0][-4:]}" in listed
    assert "laptop" in listed


def test_a_key_can_be_revoked_by_itself_or_by_its_id_but_not_twice_by_itself(darkroom: Run) -> None:
    key = darkroom("keys", "create", "--account", "ada").last_line
    assert darkroom("keys", "revoke", key).exit_code == 0
    again = darkroom("keys", "revoke", key)
    assert (again.exit_code, again.err) == (1, "darkroom: this key is unknown here, or revoked already\n")

    darkroom("keys", "create", "--account", "bob")
    (key_id,) = re.findall(r"^(\S+) +bob", darkroom("keys", "list").out, re.MULTILINE)
    assert darkroom("keys", "revoke", key_id).exit_code == 0


def test_credits_are_granted_to_an_account_that_exists(darkroom: Run) -> None:
    darkroom("keys", "create", "--account", "ada", "--credits", "1")
    granted = darkroom(
        "credits", "add", "--account", "ada", "--credits", "2", "--reason", "a present", "--kind", "free"
    )
    assert (granted.exit_code, granted.err) == (0, "Account 'ada' has 3 credits.\n")
    missing = darkroom("credits", "add", "--account", "bob", "--credits", "2", "--reason", "a present")
    assert (missing.exit_code, missing.err) == (1, "darkroom: there is no account 'bob'\n")


def test_a_key_can_be_limited_and_rotated_with_an_overlap(darkroom: Run) -> None:
    limits = ("--scope", "jobs:write", "--days", "30", "--spending-limit", "2.5", "--name", "ci")
    old = darkroom("keys", "create", "--account", "ada", *limits).last_line
    new = darkroom("keys", "rotate", old, "--overlap-hours", "1").last_line
    assert new != old
    assert darkroom("keys", "rotate", old, "--overlap-hours", "0").exit_code == 0
    assert darkroom("keys", "rotate", new).exit_code == 1
    listed = darkroom("keys", "list").out
    assert listed.count(" ci ") == listed.count(" 2.5 ") == 1
    assert darkroom("keys", "create", "--account", "ada", "--scope", "everything").exit_code == 2


def test_an_account_has_a_plan_and_everything_done_to_it_is_on_record(darkroom: Run) -> None:
    assert darkroom("accounts", "open", "ada", "--plan", "free").exit_code == 0
    assert darkroom("accounts", "open", "ada").exit_code == 1
    assert "gold" in darkroom("accounts", "plan", "ada", "gold").err
    assert darkroom("accounts", "plan", "ada", "pro").exit_code == 0
    payment = ("--account", "ada", "--credits", "5", "--reason", "invoice", "--reference", "pay_1")
    assert "has 5 credits" in darkroom("credits", "add", *payment).err
    assert "nothing changed" in darkroom("credits", "add", *payment).err
    taken = darkroom("credits", "adjust", "--account", "ada", "--credits", "-1.5", "--reason", "mistake")
    assert "has 3.5 credits" in taken.err
    events = darkroom("accounts", "events", "--account", "ada").out
    actions = ["credits.adjusted", "credits.added", "account.changed", "account.opened"]
    assert re.findall(r"\b[a-z]+\.[a-z]+\b", events) == actions
    assert darkroom("ledger", "verify").exit_code == 0


def test_a_sound_ledger_balances_and_says_what_was_counted(darkroom: Run) -> None:
    darkroom("keys", "create", "--account", "ada", "--credits", "1")
    verified = darkroom("ledger", "verify")
    assert verified.exit_code == 0
    assert verified.out == (
        "Everything balances: 1 accounts, 1 transactions, 2 entries; 0 credits held for running work.\n"
    )


def test_a_ledger_that_was_tampered_with_does_not_balance(darkroom: Run, tmp_path: Path) -> None:
    darkroom("keys", "create", "--account", "ada", "--credits", "1")
    with sqlite3.connect(tmp_path / "darkroom.sqlite3") as connection:
        connection.execute("UPDATE account SET posted_micro = posted_micro + 1")
    connection.close()
    verified = darkroom("ledger", "verify")
    assert verified.exit_code == 1
    assert "account ada: posted 1000001 but entries 1000000" in verified.out
    assert verified.err.startswith("darkroom: the ledger does not balance")


def test_the_models_are_listed_before_any_worker_has_registered(darkroom: Run) -> None:
    listed = darkroom("models", "list")
    assert listed.exit_code == 0
    assert re.search(r"flux-nano +flux-nano +\(folder, no worker\) +- +128x128 +Apache-2.0", listed.out)


def test_the_schema_is_made_and_making_it_again_changes_nothing(darkroom: Run) -> None:
    for _ in range(2):
        upgraded = darkroom("db", "upgrade")
        assert upgraded.exit_code == 0
        assert "darkroom.sqlite3 is up to date" in upgraded.err


def test_a_database_of_another_version_is_refused_in_one_line(darkroom: Run, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "darkroom.sqlite3").executescript("CREATE TABLE account (id TEXT)").connection.close()
    refused = darkroom("accounts", "list")
    assert (refused.exit_code, refused.err) == (
        1,
        "darkroom: the database's schema is not this version's; run `darkroom db upgrade`\n",
    )


def test_a_database_that_does_not_answer_is_named_without_its_password(
    darkroom: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_DATABASE__URL", "postgresql://ada:sekret@127.0.0.1:1/darkroom")
    for command in (("accounts", "list"), ("db", "upgrade")):
        refused = darkroom(*command)
        assert refused.exit_code == 1
        assert "cannot reach the database postgresql+asyncpg://ada:***@127.0.0.1:1/darkroom: " in refused.err
        assert refused.err.count("\n") == 1


def test_a_setting_out_of_range_is_one_line(darkroom: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_QUEUE__WINDOW", "0")
    refused = darkroom("accounts", "list")
    assert refused.exit_code == 1
    assert refused.err.startswith("darkroom: DARKROOM_QUEUE__WINDOW: ")
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize("amount", ["-1", "ten", "nan"])
def test_an_amount_that_is_none_is_refused_before_anything_happens(darkroom: Run, amount: str, tmp_path: Path) -> None:
    refused = darkroom("keys", "create", "--account", "ada", "--credits", amount)
    assert refused.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_generating_without_a_service_says_how_to_start_one(darkroom: Run, tmp_path: Path) -> None:
    refused = darkroom("generate", "a red apple", "-o", str(tmp_path / "x.png"), "--size", "64x96")
    assert refused.exit_code == 1
    assert "start one with `darkroom up`" in refused.err


def test_a_picture_whose_format_its_name_does_not_tell_is_refused(darkroom: Run, tmp_path: Path) -> None:
    refused = darkroom("generate", "a red apple", "-o", str(tmp_path / "x.gif"))
    assert (refused.exit_code, refused.err.startswith("darkroom: cannot tell a picture's format")) == (1, True)


def test_a_size_that_is_none_is_refused(darkroom: Run, tmp_path: Path) -> None:
    assert darkroom("generate", "a red apple", "-o", str(tmp_path / "x.png"), "--size", "big").exit_code == 2
