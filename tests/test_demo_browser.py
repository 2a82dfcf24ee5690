"""The demo's page in a real browser, Chromium without a window: what a user clicks, slides, drops and types."""

import gzip
import time

import cv2
import numpy as np
import pytest
from demo_cases import HOSTILE, brightness, formula, serving
from malformed import nifti
from test_demo_uploads import series, zipped

from hemokit.demo import runtime
from hemokit.demo.models import SHIPPED, open_model

pytest.importorskip("selenium", reason="selenium is not installed")
from demo_browser import BROWSER, DRIVER, Page  # noqa: E402
from selenium import webdriver  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None or DRIVER is None, reason="there is no Chromium with its chromedriver here"),
]


@pytest.fixture(scope="module")
def port():
    with serving(formula()) as number:
        yield number


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    page = Page(tmp_path_factory.mktemp("browser"))
    yield page
    page.driver.quit()


@pytest.fixture
def page(shared, port):
    shared.resize(1280, 860)
    yield shared.open(port)
    assert shared.complaints() == []


def gray(seed=0, height=60, width=80):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (9, 9), 3) // 2 + np.uint8(40 * (seed % 3) + 40)


def png(seed=0, **size):
    return cv2.imencode(".png", gray(seed, **size))[1].tobytes()


def test_an_example_is_one_click(page):
    """The slice and its mask are there, with area and volume; everything came from this server."""
    page.example(1)
    assert page.orange().any() and page.text("area").endswith("mm²") and page.text("volume").endswith("mL")
    assert "Epidural" in page.text("status") and "phantom" in page.text("notes")
    assert page.at("canvas").get_attribute("aria-label").startswith("Head CT, slice")
    assert all(address.startswith("http://127.0.0.1") for _, address in page.requests())


def test_sliders_act_at_once_and_ask_for_nothing(page):
    """Threshold, opacity and slice change the picture within 100 ms each, without any request."""
    page.example(1)
    page.requests()
    areas, times = [], []
    for threshold in (100, 300, 600, 1000):
        start = time.perf_counter()
        page.slide("threshold", threshold)
        times.append(time.perf_counter() - start)
        areas.append(int(page.orange().sum()))
    assert areas == sorted(areas, reverse=True) and areas[0] > areas[-1] == 0
    page.slide("threshold", 300)
    page.slide("opacity", 0)
    assert not page.orange().any()
    page.slide("opacity", 100)
    first = page.pixels()
    page.slide("slice", 3)
    assert (page.pixels() != first).any() and page.text("slice-value") == "4 of 15"
    assert page.requests() == [] and np.median(times) < 0.1


def test_the_figures_are_those_of_the_mask(page):
    """The area counts what is drawn; a picture has pixels alone, and says that the rest is unknown."""
    page.upload("a.png", png())
    page.slide("opacity", 100)
    for threshold in (100, 250, 400):
        page.slide("threshold", threshold)
        assert page.text("area") == f"{page.orange().sum()} pixels (mm² unknown)"
    assert page.text("volume") == "unknown (no spacing)"


def volumes():
    array = np.random.default_rng(0).integers(-100, 200, (7, 8, 9)).astype(np.int16)
    yield "a.nii", nifti(array), "9 slices"
    yield "a.nii.gz", gzip.compress(nifti(array)), "9 slices"
    yield "a.dcm", series()["x/0"], "1 slice"
    yield "a.zip", zipped(series()), "3 slices"
    yield "a.jpg", cv2.imencode(".jpg", gray())[1].tobytes(), "1 slice"


@pytest.mark.parametrize("name, data, count", list(volumes()), ids=lambda one: one if isinstance(one, str) else "")
def test_each_kind_of_file_is_shown(page, name, data, count):
    """NIfTI, DICOM, a zipped series and pictures: chosen, answered, drawn."""
    page.upload(name, data)
    assert f"{name}: {count}." in page.text("status")
    assert page.run("return document.getElementById('error').hidden")
    assert (page.pixels()[..., 3] == 255).all()


def test_a_file_that_cannot_be_read_leaves_nothing_of_the_last_one(page):
    """One sentence is shown, and no mask, figure or download of the file before it."""
    page.upload("a.png", png())
    page.slide("threshold", 50)
    assert page.orange().any()
    page.upload("b.png", png()[:-9])
    assert "b.png" in page.text("error") and "expected" in page.text("error")
    assert page.at("error").get_attribute("role") == "alert"
    assert not page.pixels().any() and page.text("area") == page.text("probability") == "-"
    assert not page.at("download").is_enabled() and not page.at("slice").is_enabled()
    page.slide("threshold", 70)
    assert not page.pixels().any()
    page.upload("a.png", png(1))
    assert page.run("return document.getElementById('error').hidden") and page.orange().any()


def test_a_file_that_is_too_large_is_not_sent(page):
    """The page knows the limit, and says both numbers."""
    page.upload("large.png", bytes(2**26 + 1))
    assert "64 MB" in page.text("error") and not [one for one in page.requests() if one[0] == "POST"]


def test_everything_is_reached_by_the_keyboard(page):
    """Tab to an example and Enter; arrows on the picture and on the sliders; the file's button is on the way."""
    page.run("document.body.focus()")
    active, seen = page.driver.switch_to.active_element, []
    for _ in range(30):
        webdriver.ActionChains(page.driver).send_keys("\ue004").perform()
        active = page.driver.switch_to.active_element
        seen.append(active.get_attribute("id") or active.get_attribute("data-name"))
        if seen[-1] == "epidural":
            active.send_keys("\ue007")
            page.answered()
        elif seen[-1] == "canvas":
            before = page.text("slice-value")
            active.send_keys("\ue012")  # to the left
            assert page.text("slice-value") != before
        elif seen[-1] == "threshold":
            before = page.text("threshold-value")
            active.send_keys("\ue014")  # to the right
            assert page.text("threshold-value") != before
    assert {"epidural", "file", "canvas", "slice", "threshold", "opacity", "heat", "download"} <= set(seen)
    assert seen.index("epidural") < seen.index("file") < seen.index("canvas") < seen.index("download")


def test_the_heat_map_is_switched_on_and_off(page):
    """It lies on the picture while it is on; what it is, and why it is no Grad-CAM here, stands beside it."""
    page.example(1)
    page.slide("threshold", 300)
    page.slide("opacity", 0)
    plain = page.pixels()
    page.at("heat").click()
    page.wait("return document.getElementById('status').textContent.includes('what the model looked at') "
              "|| document.getElementById('status').textContent.includes('map is empty')")  # fmt: skip
    assert "Occlusion" in page.text("heat-words") and "Grad-CAM" in page.text("heat-words")
    assert (page.pixels() != plain).any()
    page.at("heat").click()
    page.wait("return !document.getElementById('heat').checked")
    np.testing.assert_array_equal(page.pixels(), plain)


def test_the_result_is_downloaded(page):
    """A zip appears in the user's folder."""
    page.upload("a.png", png())
    page.at("download").click()
    page.wait("return document.getElementById('status').textContent.includes('hemokit_result.zip')")
    end = time.monotonic() + 10
    while not (page.folder / "hemokit_result.zip").exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert (page.folder / "hemokit_result.zip").read_bytes()[:2] == b"PK"


def test_hostile_names_are_text(page):
    """Names that are HTML are shown as they are, and nothing of them runs or is drawn (promise W5)."""
    page.run("window.alert = () => { window.harmed = true; }")
    before = page.run("return document.querySelectorAll('*').length")
    names = [name for name in HOSTILE if "<" in name and "/" not in name]
    for name in names:
        page.upload(name, b"no picture")
        assert name in page.text("error")
    page.upload(names[0], png())
    assert names[0] in page.text("status") and len(names) >= 5
    assert page.run("return document.querySelectorAll('*').length") <= before + 5  # notes
    assert not page.run("return window.harmed || document.querySelectorAll('#status *, #error *').length")


def test_two_users_at_once_see_their_own(page, port, tmp_path):
    """Two browsers ask together, again and again: each gets the pixels of its own file."""
    other = Page(tmp_path)
    try:
        other.open(port)
        for seed in range(3):
            mine, theirs = png(2 * seed), png(2 * seed + 1)
            for one, data in ((page, mine), (other, theirs)):
                path = one.folder / "same.png"
                path.write_bytes(data)
                one.at("file").send_keys(str(path))
            for one, number in ((page, 2 * seed), (other, 2 * seed + 1)):
                one.answered()
                one.slide("opacity", 0)
                np.testing.assert_array_equal(one.pixels()[..., 0], gray(number))
    finally:
        other.driver.quit()


def test_a_late_answer_of_an_older_file_is_not_shown(shared):
    """The first file takes long; the second one, chosen meanwhile, stays."""

    def slow(images):
        time.sleep(1.5 if images.mean() > 0.5 else 0)
        return brightness(images)

    bright = cv2.imencode(".png", np.full((60, 80), 250, np.uint8))[1].tobytes()
    with serving(formula(probabilities=slow)) as port:
        shared.open(port)
        (shared.folder / "slow.png").write_bytes(bright)
        shared.at("file").send_keys(str(shared.folder / "slow.png"))
        shared.upload("quick.png", png())
        time.sleep(2)
        shared.slide("opacity", 0)
        assert "quick.png" in shared.text("status")
        np.testing.assert_array_equal(shared.pixels()[..., 0], gray())


def test_a_late_heat_map_of_an_older_file_is_not_shown(shared):
    """A map takes long; the file that is chosen meanwhile is shown without it."""

    def slow(images):
        time.sleep(0.15 if len(images) > 1 else 0)  # a map hides many patches at once
        return brightness(images)

    with serving(formula(probabilities=slow, threshold=0.1)) as port:
        shared.open(port)
        shared.upload("first.png", png(1))
        shared.at("heat").click()
        shared.wait("return document.getElementById('status').textContent.startsWith('Looking')")
        time.sleep(0.4)
        assert any("/api/heat" in address for _, address in shared.requests())
        shared.upload("second.png", png())
        time.sleep(2.5)
        shared.slide("opacity", 0)
        assert "second.png" in shared.text("status")
        np.testing.assert_array_equal(shared.pixels()[..., 0], gray())


def test_where_a_slice_was_computed_is_what_was_chosen_for_it(shared):
    """The other place is chosen while the server works: the answer is still the server's."""

    def slow(images):
        time.sleep(1)
        return brightness(images)

    with serving(formula(probabilities=slow)) as port:
        shared.open(port)
        (shared.folder / "a.png").write_bytes(png())
        shared.at("file").send_keys(str(shared.folder / "a.png"))
        shared.run("document.getElementById('in-browser').checked = true")
        shared.answered()
        assert "Computed by the server" in shared.text("status") and shared.at("heat").is_enabled()


def test_a_heat_map_that_fails_leaves_the_slice(shared):
    """The picture stays, and the page does not say that nothing is shown."""

    def broken(image):
        raise RuntimeError

    with serving(formula(gradcam=broken)) as port:
        shared.open(port)
        shared.upload("a.png", png())
        before = shared.pixels()
        shared.at("heat").click()
        shared.wait("return !document.getElementById('error').hidden")
        assert "broke in the demo" in shared.text("error") and "stays" in shared.text("status")
        np.testing.assert_array_equal(shared.pixels(), before)


@pytest.mark.parametrize("bits", [8, 16])
def test_the_browser_makes_no_8_bits_of_16(page, bits):
    """As the server it refuses a PNG of 16 bits; one of 8 comes as far as the model, which is not there."""
    pixels = gray() if bits == 8 else gray().astype(np.uint16) * 200
    script = """const [bytes, done] = arguments;
        import("/page/inbrowser.js")
          .then((one) => one.lookInBrowser(new Blob([new Uint8Array(bytes)]), "a.png", { image_size: 32, channels: 1 }))
          .then(() => done("no error"), (error) => done(error.message));"""
    told = page.driver.execute_async_script(script, list(cv2.imencode(".png", pixels)[1].tobytes()))
    assert ("has 16 bits, but expected are 8" in told) == (bits == 16) and told != "no error"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_cut_off_on_a_narrow_screen(page, width):
    """No scrolling to the side, neither before nor after; the picture comes into view; buttons fit a thumb."""
    page.resize(width, 740)
    for act in (lambda: None, lambda: page.example(0), lambda: page.upload("b" * 90 + ".png", b"no picture")):
        act()
        assert page.run("return document.documentElement.scrollWidth") <= width
    page.example(0)
    time.sleep(0.3)
    place = page.run(
        "const one = document.getElementById('canvas').getBoundingClientRect(); return [one.top, one.bottom]"
    )
    assert place[0] >= -1 and place[1] <= 741
    small = "return [...document.querySelectorAll('button')].filter((one) => one.offsetHeight < 44).length"
    assert page.run(small) == 0


@pytest.fixture(scope="module")
def shipped_port():
    if not SHIPPED.exists():
        pytest.skip("the package has no model")
    with serving(open_model()) as number:
        yield number


def test_in_the_browser_the_picture_is_not_sent(shared, shipped_port):
    """ONNX in the browser: no POST at all, and the map of the server to 1/1000 but for one pixel in a thousand."""
    if not runtime.is_installed():
        pytest.skip(f"the browser's runtime is not installed: {runtime.COMMAND}")
    page = shared.open(shipped_port)
    page.resize(1280, 860)
    figures = {}
    for where in ("browser", "server"):
        page.run("document.querySelector(`input[value=${arguments[0]}]`).click()", where)
        page.requests()
        for name, data in (("even.png", png(1, height=256, width=256)), ("odd.png", png(2, height=301, width=217))):
            page.upload(name, data)
            assert ("this browser" in page.text("status")) == (where == "browser"), page.text("error")
            assert "never saw a patient" in page.text("notes")
            figures[where, name] = [page.text("probability"), page.pixels()]
        sent = [one for one in page.requests() if one[0] != "GET"]
        assert len(sent) == (0 if where == "browser" else 2)
    for name in ("even.png", "odd.png"):
        here, there = figures["browser", name], figures["server", name]
        assert here[0] == there[0]
        assert (here[1] != there[1]).any(axis=-1).mean() < 1e-3
    page.run("document.querySelector('input[value=browser]').click()")
    page.upload("a.nii", b"x")
    assert "JPG and PNG alone" in page.text("error")
    assert page.complaints() == []
