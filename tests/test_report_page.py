"""The page in a real browser: headless Chromium, where there is one."""

from urllib.parse import unquote, urlsplit

import pytest

from tests.test_report import STUDY, reproduce

TEMPLATES = """
  - id: templates
    title: One layer
    place: Section 3
    settings:
      data: {train: [1], validation: [2], limit: 200}
      network: {hidden: []}
      training: {schedule: {kind: constant, epochs: 2}}
    figures: [loss, templates]
    rows:
      - {id: one, title: one layer}
claims:"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "studies").mkdir()
    (folder / "studies" / "seventh.yaml").write_text(STUDY.replace("\nclaims:", TEMPLATES))
    reproduce(folder, "--seeds", "2")
    return folder / "runs" / "reports" / "index.html"


def opened(browser, path, width):
    """The page in a viewport of so many CSS pixels."""
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(path.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    return browser


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_loads_whole_and_fits(browser, written, width):
    """No console errors, nothing from the network, every image shown, and no sideways scrolling but inside tables."""
    opened(browser, written, width)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    images = browser.execute_script("return [...document.images].map(i => i.naturalWidth)")
    assert images
    assert min(images) > 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    script = "return [...document.querySelectorAll('svg.chart')].map(s => s.getBoundingClientRect().width)"
    charts = browser.execute_script(script)
    assert charts
    assert min(charts) > 200


def test_links_resolve(browser, written):
    """Links to sections lead to sections, all others to files and run folders beside the page."""
    opened(browser, written, 1280)
    links = browser.execute_script("return [...document.links].map(a => a.getAttribute('href'))")
    assert any(link.startswith("trainings/") for link in links)
    for link in links:
        if link.startswith("#"):
            assert browser.execute_script("return !!document.getElementById(arguments[0])", link[1:]), link
        else:
            assert not urlsplit(link).scheme, link
            assert (written.parent / unquote(link)).exists(), link


def test_the_page_can_be_read_aloud(browser, written):
    """Every image and chart has words, every table real headers, every heading its level."""
    opened(browser, written, 1280)
    script = """return [
      [...document.images].every(i => i.alt.length > 10),
      [...document.querySelectorAll('svg.chart')].every(s => s.getAttribute('aria-label').length > 20),
      [...document.querySelectorAll('table')].every(t => t.querySelector('thead th[scope=col]')),
      [...document.querySelectorAll('table')].every(t => t.querySelector('tbody th[scope=row]')),
      document.querySelectorAll('h1').length == 1 && !!document.documentElement.lang,
      (ids => new Set(ids).size == ids.length)([...document.querySelectorAll('[id]')].map(e => e.id)),
    ]"""
    assert browser.execute_script(script) == [True] * 6


def test_the_dark_page_is_dark(browser, written):
    opened(browser, written, 1280)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert max(map(int, colour.strip("rgb()").split(","))) < 60
