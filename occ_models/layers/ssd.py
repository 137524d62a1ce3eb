"""Mamba-2's state-space duality (Dao & Gu 2024) in plain matrix products that can be exported.

Chunked form: MatMul, Exp, elementwise operations and constant triangular matrices; exponents are differences of
cumulative sums clamped to <= 0 and kept in float32. `mamba_ssm`'s kernels compute the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core.errors import InputError


def ssd_ref(x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The recurrence h_t = exp(a_t) h_{t-1} + x_t b_t^T, y_t = h_t c_t, step by step.

    x : (B, L, H, P), a : (B, L, H) <= 0, b, c : (B, L, N). Returns (B, L, H, P).
    """
    state = x.new_zeros(*x[:, 0].shape, b.shape[-1])  # (B, H, P, N)
    outputs = []
    for t in range(x.shape[1]):
        state = a[:, t, :, None, None].exp() * state + x[:, t, :, :, None] * b[:, t, None, None, :]
        outputs.append((state * c[:, t, None, None, :]).sum(-1))
    return torch.stack(outputs, 1)


def ssd(x: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> Tensor:
    """`ssd_ref` in chunks of `chunk` steps; L is padded to a multiple of it at the end (zero a keeps the state)."""
    batch, length, heads, width = x.shape
    states = b.shape[-1]
    padding = -length % chunk
    if padding:
        x, a = F.pad(x, (0, 0, 0, 0, 0, padding)), F.pad(a, (0, 0, 0, padding))
        b, c = F.pad(b, (0, 0, 0, padding)), F.pad(c, (0, 0, 0, padding))
    chunks = (length + padding) // chunk
    n = batch * chunks
    lower = torch.ones(chunk, chunk, device=x.device).tril()
    before = torch.ones(chunks, chunks, device=x.device).tril(-1)

    x = x.reshape(n, chunk, heads, width).transpose(1, 2)  # (n, H, Q, P)
    a = a.reshape(n, chunk, heads).transpose(1, 2).float()  # (n, H, Q)
    b, c = b.reshape(n, chunk, states), c.reshape(n, chunk, states)

    s = a @ lower.T  # inclusive cumulative sum inside the chunk, (n, H, Q)
    decay = (s.unsqueeze(-1) - s.unsqueeze(-2)).clamp(max=0).exp() * lower  # (n, H, Q, Q)
    scores = (c @ b.transpose(1, 2)).unsqueeze(1)  # (n, 1, Q, Q)
    within = (scores * decay.to(x.dtype)) @ x  # (n, H, Q, P)

    to_end = (s[..., -1:] - s).clamp(max=0).exp().to(x.dtype)  # (n, H, Q)
    entered = (x * to_end.unsqueeze(-1)).transpose(2, 3) @ b.unsqueeze(1)  # what each chunk adds, (n, H, P, N)
    total = s[..., -1].reshape(batch, chunks, heads).transpose(1, 2)  # (B, H, c)
    after = total @ (before.T + torch.eye(chunks, device=x.device))  # inclusive over chunks
    carry = ((after - total).unsqueeze(-1) - after.unsqueeze(-2)).clamp(max=0).exp() * before  # (B, H, c, c)
    entered = entered.reshape(batch, chunks, heads, width * states).transpose(1, 2)
    state = (carry.to(x.dtype) @ entered).transpose(1, 2).reshape(n, heads, width, states)
    from_start = s.clamp(max=0).exp().to(x.dtype).unsqueeze(-1)  # (n, H, Q, 1)
    across = (c.unsqueeze(1) @ state.transpose(2, 3)) * from_start  # (n, H, Q, P)

    y = (within + across).transpose(1, 2).reshape(batch, length + padding, heads, width)
    return y[:, :length]


def scan(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, chunk: int) -> Tensor:
    """The layer's recurrence with its steps: h_t = exp(dt_t a) h_{t-1} + dt_t x_t b_t^T, y_t = h_t c_t.

    x : (B, L, H, P), dt : (B, L, H) float32, a : (H,) < 0, b, c : (B, L, N). Returns (B, L, H, P).
    """
    return ssd(x * dt.unsqueeze(-1).to(x.dtype), dt * a, b, c, chunk)


class Mamba2(nn.Module):
    """One Mamba-2 layer: (B, L, C) -> (B, L, C), causal; used on a sequence and on its reverse.

    expand: inner width in units of C; state: N; head: P; chunk: Q.
    """

    def __init__(self, channels: int, expand: int = 2, state: int = 16, head: int = 32, chunk: int = 64):
        super().__init__()
        self.inner, self.state, self.chunk = expand * channels, state, chunk
        self.scan = scan  # `occ_models.kernels` replaces it by mamba_ssm's
        if self.inner % head:
            raise InputError(f"Mamba2: head width {head} does not divide the inner width {self.inner}")
        self.heads = self.inner // head
        self.in_proj = nn.Linear(channels, 2 * self.inner + 2 * state + self.heads, bias=False)
        self.conv = nn.Conv1d(self.inner + 2 * state, self.inner + 2 * state, 4, groups=self.inner + 2 * state)
        step = torch.exp(torch.empty(self.heads).uniform_(-6.9, -2.3))  # 1e-3 .. 1e-1
        self.dt_bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # inverse softplus
        self.a_log = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.norm = nn.RMSNorm(self.inner, eps=1e-5)
        self.out_proj = nn.Linear(self.inner, channels, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, length, _ = tokens.shape
        z, xbc, dt = self.in_proj(tokens).split([self.inner, self.inner + 2 * self.state, self.heads], -1)
        xbc = F.silu(self.conv(F.pad(xbc.transpose(1, 2), (3, 0)))).transpose(1, 2)
        x, b, c = xbc.split([self.inner, self.state, self.state], -1)
        # Bounded so that the cumulative sum inside a chunk stays well inside float16's range.
        dt = F.softplus(dt.float() + self.dt_bias).clamp(1e-4, 0.5)  # (B, L, H)
        x = x.reshape(batch, length, self.heads, -1)
        y = self.scan(x, dt, -self.a_log.exp(), b, c, self.chunk)
        y = (y + self.skip.unsqueeze(-1) * x).reshape(batch, length, self.inner)
        return self.out_proj(self.norm(y * F.silu(z)))
