import pytest

from service.store.patience import Patience


@pytest.mark.parametrize(
    "problem",
    [
        "OOM command not allowed when used memory > 'maxmemory'.",
        "READONLY You can't write against a read only replica.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist",
        "NOREPLICAS Not enough good replicas to write.",
        "NOPERM this user has no permissions to run the 'xadd' command",
        "@user_script: 80: -OOM command not allowed when used memory > 'maxmemory'.",
        "@user_script: 80: Unknown Redis command called from Lua script",
        "ERR The user executing the script can't run this command or subcommand",
    ],
)
def test_a_state_of_redis_is_waited_for_without_end(problem: str) -> None:
    patience = Patience(attempts=2)
    assert not any(patience.is_over(1, problem) for _ in range(100))


@pytest.mark.parametrize(
    "problem",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "BADENTRY got an unknown kind of command",
        "user_script:95: attempt to compare nil with number",
        "ERR Lua redis lib command arguments must be strings or integers",
        "ERR wrong number of arguments for 'hset' command",
        "ERR value is not a valid float",
    ],
)
def test_a_write_that_is_at_fault_itself_is_given_up_at_once(problem: str) -> None:
    assert Patience().is_over(1, problem)


def test_a_write_that_fails_for_an_unknown_reason_is_given_up_after_some_attempts() -> None:
    patience = Patience(attempts=3)
    assert [patience.is_over(1, "ERR something new") for _ in range(3)] == [False, False, True]
    assert [patience.is_over(2, "ERR something new") for _ in range(3)] == [False, False, True]
