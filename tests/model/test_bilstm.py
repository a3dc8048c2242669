import torch

from model.bilstm import BiLstm, mask_of, reversal


def test_both_directions_together_are_a_bidirectional_lstm() -> None:
    torch.manual_seed(0)
    layer = BiLstm(6, 5)
    whole = torch.nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    for own, suffix in ((layer.forward_lstm, ""), (layer.backward_lstm, "_reverse")):
        whole.load_state_dict(
            {f"{name}{suffix}": weight for name, weight in own.state_dict().items()}, strict=False
        )
    frames, lengths = torch.randn(3, 9, 6), torch.tensor([9, 4, 1])
    packed = torch.nn.utils.rnn.pack_padded_sequence(frames, lengths, batch_first=True)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(whole(packed)[0], batch_first=True)
    found = layer(frames.transpose(0, 1), reversal(lengths, 9)).transpose(0, 1)
    found = found.masked_fill(~mask_of(lengths, 9)[:, :, None], 0.0)
    torch.testing.assert_close(found, expected)
