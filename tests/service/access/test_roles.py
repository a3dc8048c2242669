import pytest

from service.access.roles import Role

ASCENDING = (Role.METRICS, Role.VIEWER, Role.OPERATOR, Role.ADMIN)


@pytest.mark.parametrize("role", ASCENDING)
@pytest.mark.parametrize("needed", ASCENDING)
def test_a_role_includes_those_below_it(role: Role, needed: Role) -> None:
    assert role.includes(needed) == (ASCENDING.index(role) >= ASCENDING.index(needed))


def test_a_bridge_stands_apart() -> None:
    assert [role for role in Role if role.includes(Role.BRIDGE)] == [Role.BRIDGE]
    assert [role for role in Role if Role.BRIDGE.includes(role)] == [Role.BRIDGE]
