"""Formulas as text: what is shown, what stays as it was written, and that nothing hostile takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.app.markdown.tex import readable

SHOWN = {
    r"x^2 + y_1": "x² + y₁",
    r"\frac{1}{2}": "½",
    r"\frac{a+b}{c}": "(a+b)/c",
    r"\frac{dy}{dx}": "dy/dx",
    r"x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a}": "x = (−b ± √(b² − 4ac))/(2a)",
    r"\sum_{i=1}^{n} i": "∑ᵢ₌₁ⁿ i",
    r"\int_0^\infty e^{-x^2}\,dx": "∫₀^∞ e^(−x²) dx",
    r"\lim_{x \to 0} \frac{\sin x}{x} = 1": "lim_(x → 0) (sin x)/x = 1",
    r"\mathbb{R}^n": "ℝⁿ",
    r"P(A \mid B) = \frac{P(B \mid A)}{P(B)}": "P(A ∣ B) = P(B ∣ A)/P(B)",
    r"f(x) = \begin{cases} 1 & x > 0 \\ 0 & \text{otherwise} \end{cases}": "f(x) = { 1 x > 0; 0 otherwise }",
    r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}": "(1 0; 0 1)",
    r"\nabla \cdot \vec{E} = \frac{\rho}{\varepsilon_0}": "∇ · E⃗ = ρ/ε₀",
    r"5 \times 10^{-3}\%": "5 × 10⁻³%",
    r"x \not\in A": "x ∉ A",
    r"\sqrt[3]{x} \text{ wenn } n \bmod 2": "∛x wenn n mod 2",
}


@pytest.mark.parametrize(("source", "text"), SHOWN.items())
def test_what_is_known_is_shown_as_it_is_read(source: str, text: str) -> None:
    assert readable(source) == text


@pytest.mark.parametrize(
    "source",
    [r"\unknown{x}", "x^", "{", "}", r"\frac{1}", r"\begin{tikzpicture}\end{tikzpicture}", r"\begin{aligned} x",
     r"\begin{bmatrix} a \end{pmatrix}", "{" * 60 + "}" * 60, "a % b", "x" * 4001],
)  # fmt: skip
def test_what_is_not_known_stays_as_it_was_written(source: str) -> None:
    assert readable(source) == ""


@given(st.text(alphabet=r"\{}^_&ab1 $%fracbegin", max_size=200))
def test_no_text_is_a_fault(source: str) -> None:
    assert isinstance(readable(source), str)


def test_hostile_formulas_take_no_time() -> None:
    for source in (r"\frac" * 700, r"\begin{aligned}" * 260, "{" * 4000, "^" * 4000, r"\sqrt[" * 600, "a_" * 2000):
        began = time.process_time()
        readable.__wrapped__(source)
        assert time.process_time() - began < 1
