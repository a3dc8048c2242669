from training.differences import differences


def test_equal_configs_have_no_differences() -> None:
    config = {"seed": 0, "network": {"d_lstm": 8}}
    assert differences(config, {"network": {"d_lstm": 8}, "seed": 0}) == []


def test_each_value_that_differs_is_named_in_order() -> None:
    found = {"seed": 0, "network": {"d_lstm": 8, "n_head": 2}, "runs": {}}
    expected = {"seed": 3, "network": {"d_lstm": 9, "n_head": 2}, "more": [1]}
    assert differences(found, expected) == [
        "more None, expected [1]",
        "network.d_lstm 8, expected 9",
        "runs {}, expected None",
        "seed 0, expected 3",
    ]
