"""What commands of TeX stand for, as tables: symbols, Greek, letters of other kinds, small letters, fractions."""

from __future__ import annotations

_GREEK = (
    "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda λ "
    "mu μ nu ν xi ξ pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi χ psi ψ "
    "omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω"
)
_LETTERS = (
    "infty ∞ partial ∂ nabla ∇ hbar ℏ ell ℓ Re ℜ Im ℑ aleph ℵ beth ℶ emptyset ∅ varnothing ∅ forall ∀ exists ∃ "
    "nexists ∄ neg ¬ lnot ¬ top ⊤ bot ⊥ angle ∠ triangle △ square □ blacksquare ■ Box □ dots … ldots … cdots ⋯ vdots ⋮ "
    "ddots ⋱ prime ′ circ ∘ bullet • star ⋆ ast ∗ dagger † ddagger ‡ degree ° checkmark ✓ imath ı jmath ȷ wp ℘ "
    "sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁ bigwedge ⋀ "
    "langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lvert | rvert | lVert ‖ rVert ‖ vert | Vert ‖ | ‖ mid ∣ "
    "{ { } } % % $ $ # # & & _ _ lbrace { rbrace } lbrack [ rbrack ] backslash \\ surd √ therefore ∴ because ∵ "
    "colon : S § P ¶ copyright © pounds £ diamond ⋄ clubsuit ♣ heartsuit ♥ spadesuit ♠ flat ♭ natural ♮ sharp ♯"
)
_OPERATORS = (
    "times × div ÷ pm ± mp ∓ cdot · oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙ cup ∪ cap ∩ setminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ "
    "leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ equiv ≡ approx ≈ cong ≅ sim ∼ simeq ≃ propto ∝ ll ≪ gg ≫ prec ≺ succ ≻ "
    "leqslant ⩽ geqslant ⩾ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ in ∈ notin ∉ ni ∋ perp ⊥ parallel ∥ "
    "vdash ⊢ models ⊨ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔ lt < gt > to → rightarrow → leftarrow ← gets ← "
    "leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ implies ⟹ impliedby ⟸ iff ⟺ mapsto ↦ longrightarrow ⟶ "
    "longleftarrow ⟵ Longrightarrow ⟹ longmapsto ⟼ uparrow ↑ downarrow ↓ updownarrow ↕ hookrightarrow ↪ "
    "rightharpoonup ⇀ rightleftharpoons ⇌ nearrow ↗ searrow ↘ leadsto ⇝ bmod mod"
)


def _table(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SYMBOLS = {**_table(_GREEK), **_table(_LETTERS), **{name: f" {sign} " for name, sign in _table(_OPERATORS).items()}}
SYMBOLS |= {"cdot": "·", "times": " × "}
"""A relation or an operation has a blank on either side."""
SPACES = {
    ",": " ",
    ";": " ",
    ":": " ",
    " ": " ",
    "!": "",
    "quad": "  ",
    "qquad": "    ",
    "enspace": " ",
    "thinspace": " ",
}
SPACES |= {"newline": "\n"}
IGNORED = frozenset(
    (
        *("left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr"),
        *("Biggl", "Biggr", "bigm", "middle", "displaystyle", "textstyle", "scriptstyle", "limits"),
        *("nolimits", "nonumber", "notag", "mathstrut", "strut", "centering", "hline", "rm", "bf", "it"),
    )
)
FUNCTIONS = frozenset(
    (
        *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
        *("coth", "log", "ln", "lg", "exp", "lim", "liminf", "limsup", "max", "min", "sup", "inf", "arg"),
        *("argmax", "argmin", "det", "dim", "ker", "deg", "gcd", "lcm", "hom", "Pr", "mod", "tr"),
    )
)
TEXTS = frozenset(
    (
        *("text", "textrm", "textbf", "textit", "texttt", "textsf", "textnormal", "mathrm", "mathbf"),
        *("mathit", "mathsf", "mathtt", "mathnormal", "boldsymbol", "bm", "operatorname", "operatorname*"),
        *("mbox", "hbox", "pmb", "emph", "ensuremath", "mathop", "mathbin", "mathrel"),
    )
)
ACCENTS = {
    "hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303", "bar": "\u0304", "vec": "\u20d7",
    "dot": "\u0307", "ddot": "\u0308", "acute": "\u0301", "grave": "\u0300", "check": "\u030c", "breve": "\u0306",
    "overline": "\u0305", "underline": "\u0332", "mathring": "\u030a", "overrightarrow": "\u20d7",
}  # fmt: skip
"""Behind the letter that they stand on."""
NEGATED = {"∈": "∉", "=": "≠", "≡": "≢", "⊂": "⊄", "⊆": "⊈", "∼": "≁", "<": "≮", ">": "≯", "∃": "∄", "∣": "∤", "≤": "≰"}
BLACKBOARD = dict(zip("CHNPQRZABDEFGIJKLMOSTUVWXY01", "ℂℍℕℙℚℝℤ𝔸𝔹𝔻𝔼𝔽𝔾𝕀𝕁𝕂𝕃𝕄𝕆𝕊𝕋𝕌𝕍𝕎𝕏𝕐𝟘𝟙", strict=True))
SCRIPT = dict(zip("BEFHILMRACDGJKNOPQSTUVWXYZ", "ℬℰℱℋℐℒℳℛ𝒜𝒞𝒟𝒢𝒥𝒦𝒩𝒪𝒫𝒬𝒮𝒯𝒰𝒱𝒲𝒳𝒴𝒵", strict=True))
SUPERSCRIPTS = dict(
    zip(
        "0123456789+−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδεθιφχ′∘∗",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᵋᶿᶥᵠᵡ′°*",
        strict=True,
    )
)
SUBSCRIPTS = dict(zip("0123456789+−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True))
FRACTIONS = {
    ("1", "2"): "½", ("1", "3"): "⅓", ("2", "3"): "⅔", ("1", "4"): "¼", ("3", "4"): "¾", ("1", "5"): "⅕",
    ("2", "5"): "⅖", ("3", "5"): "⅗", ("4", "5"): "⅘", ("1", "6"): "⅙", ("5", "6"): "⅚", ("1", "8"): "⅛",
    ("3", "8"): "⅜", ("5", "8"): "⅝", ("7", "8"): "⅞",
}  # fmt: skip
