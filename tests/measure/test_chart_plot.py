"""Pictures of charts: that they are what their names say, the same each time, and hold what a reader needs."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import numpy as np

from tests.measure.fixed import COMPARISON, QWEN3_4B, QWEN3_30B_A3B, measured, model
from tui.measure.chart import charts
from tui.measure.chart_plot import HEIGHT_PX, WIDTH_PX, draw
from tui.measure.report import Comparison

CHARTS = charts(COMPARISON)
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    """Every text of the picture."""
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def pixels(png: bytes) -> np.ndarray:
    """Rows of pixels, each as red, green and blue from 0 to 255."""
    import matplotlib.image  # takes a second, which each process that runs any test would wait for

    red_green_blue: np.ndarray = np.rint(matplotlib.image.imread(io.BytesIO(png))[..., :3] * 255).astype(int)
    return red_green_blue


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(axis=-1).sum())


def test_an_svg_is_the_same_each_time_and_without_a_date() -> None:
    first = draw(CHARTS, "svg")
    assert draw(CHARTS, "svg") == first
    assert b"<dc:date>" not in first


def test_an_svg_holds_names_figures_reasons_and_facts_as_text() -> None:
    found = texts(draw(CHARTS, "svg"))
    for expected in (
        "Decode and prefill speed, relative to Qwen3-32B Q3_K_L on CPU",
        "DeepSeek-R1-Distill-Qwen-7B",
        "Q3_K_L, 30.5B parameters, 3.4B active",
        "26.9 tok/s  ×6.6",
        "14.3 tok/s  ×3.5 !",
        "Does not fit: 2.4 GiB too much for Vulkan0",
        "mixture of experts",
        *("CPU", "Vulkan0", "Decode (tg128)", "Prefill (pp512)"),
        *CHARTS[0].facts,
        CHARTS[0].doubt,
    ):
        assert expected in found


def test_a_png_is_of_the_size_for_posting_and_has_both_colours() -> None:
    png = draw(CHARTS, "png")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    picture = pixels(png)
    assert picture.shape == (HEIGHT_PX, WIDTH_PX, 3)
    assert count(picture, (0, 0x72, 0xB2)) > 5000 and count(picture, (0xE6, 0x9F, 0)) > 5000
    assert (picture[0] == 255).all() and (picture[-1] == 255).all()


def test_the_bar_of_a_mixture_of_experts_is_hatched() -> None:
    blue = (0, 0x72, 0xB2)
    alike = [measured(facts, 9.0, 5.0) for facts in (QWEN3_4B, QWEN3_30B_A3B)]
    dense, moe = (count(pixels(draw(charts(Comparison(reports=(row,)))[:1], "png")), blue) for row in alike)
    assert 0.2 < moe / dense < 0.8


def test_many_models_make_it_higher_and_names_stay_apart() -> None:
    many = [measured(model(f"Model {n}", "Q8_0", n * 1e9, n), 9.0, 50 / n) for n in range(1, 31)]
    picture = pixels(draw(charts(Comparison(reports=tuple(many)))[:1], "png"))
    assert picture.shape[0] > HEIGHT_PX and picture.shape[1] == WIDTH_PX
    names = picture[130:-120, 30:300]
    is_inked = (names < 200).any(axis=(1, 2))
    assert (np.diff(is_inked.astype(int)) == 1).sum() >= 30


def test_a_name_that_is_too_long_is_cut_before_it_reaches_the_bars() -> None:
    long = measured(
        model("A-very-long-name-of-a-model-that-nobody-can-read-to-its-end-" * 2, "Q8_0", 1e9, 1.0), 9.0, 5.0
    )
    drawn = charts(Comparison(reports=(long,)))[:1]
    assert any(text.startswith("A-very") and text.endswith("…") for text in texts(draw(drawn, "svg")))
    assert (pixels(draw(drawn, "png"))[130:200, 316:329] == 255).all()


def test_names_of_any_script_and_with_signs_of_formulas_are_drawn_as_they_are() -> None:
    odd = [measured(model(name, "Q4_K_M", 1e9, 1.0), 9.0, 5.0) for name in ("通义千问3-4B", "$x^2$ & <b>", "مدل")]
    drawn = charts(Comparison(reports=tuple(odd)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg, png = draw(drawn, "svg"), draw(drawn, "png")
    assert {"通义千问3-4B", "$x^2$ & <b>", "مدل"} <= set(texts(svg)) and pixels(png).shape[1] == WIDTH_PX


def test_models_that_only_one_of_the_charts_has_are_in_their_place_in_it() -> None:
    half = msgspec.structs.replace(measured(QWEN3_4B, 9.0, 5.0), results=measured(QWEN3_4B, 9.0, 5.0).results[:1])
    found = texts(draw(charts(Comparison(reports=(half, measured(QWEN3_30B_A3B, 9.0, 5.0)))), "svg"))
    assert found.count("Qwen3-4B") == 1 and found.count("Qwen3-30B-A3B") == 1


def test_the_users_own_matplotlib_style_changes_nothing_and_another_process_draws_the_same(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("axes.facecolor: black\nfont.size: 30\n")
    code = (
        "import sys\nfrom tests.measure.fixed import COMPARISON\nfrom tui.measure.chart import charts\n"
        "from tui.measure.chart_plot import draw\nsys.stdout.buffer.write(draw(charts(COMPARISON), 'svg'))"
    )
    # As a shell of Jupyter has it.
    backend = "module://matplotlib_inline.backend_inline"
    environment = {**os.environ, "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "MPLBACKEND": backend}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout == draw(CHARTS, "svg")
