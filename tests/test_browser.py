"""The pages in a real browser, where there is one."""

import pytest

from tests.pages import every_page

KINDS = ("index", "first", "stopped", "goes-on", "diverges", "search", "check", "range", "report")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    yield from every_page(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def opened(browser, folder):
    """Open a page in a viewport of a width in CSS pixels, light or dark, with or without scripts."""

    def opened(name, width=1280, theme="light", *, scripts=True, unfold=True):
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        browser.get(folder[name].as_uri())
        if scripts and unfold:
            browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
            for place in browser.find_elements("css selector", ".live"):
                browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
        return folder[name]

    yield opened
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def wait(browser, script, *arguments):
    """Wait until a script returns what is true; return that."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda b: b.execute_script(f"return {script}", *arguments))


def hover(browser, place, selector):
    """Move the mouse into the middle of a chart; return the values that it then shows."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
    over = wait(browser, "arguments[0].querySelector('.u-over')", place)
    box = browser.execute_script(
        "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height]", over
    )
    for part in (0.45, 0.5):
        event = {"type": "mouseMoved", "x": box[0] + part * box[2], "y": box[1] + box[3] / 2}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    script = f"[...arguments[0].querySelectorAll('{selector}')].map(e => e.textContent).filter(t => /\\d/.test(t))"
    return wait(browser, f"(found => found.length > 1 && found)({script})", place)


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
@pytest.mark.slow
def test_every_kind_of_page_fits_its_window_and_shows_values_under_the_mouse(browser, opened, width, theme):
    for name in KINDS:
        opened(name, width, theme)
        if name == "index":
            browser.execute_script("document.querySelectorAll('#runs input').forEach(box => box.click())")
        places = browser.find_elements("css selector", ".live, .overlay")
        assert len(places) == {"index": 1, "search": 1, "range": 2, "check": 0, "diverges": 0, "report": 28}.get(
            name, 4
        )
        for place in places[:4]:
            assert hover(browser, place, ".u-value"), name
        assert browser.get_log("browser") == [], name
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert browser.execute_script("return [...document.images].every(i => i.naturalWidth > 0)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, name
        widths = "return [...document.querySelectorAll('.live .uplot')].map(s => s.getBoundingClientRect().width)"
        assert all(200 < found <= width for found in browser.execute_script(widths))
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 150) == (theme == "dark")


@pytest.mark.slow
def test_lines_are_light_on_a_dark_page_and_change_with_it(browser, opened):
    opened("first", theme="dark")
    script = "getComputedStyle(document.querySelectorAll('.u-marker')[1]).borderTopColor"
    colour = wait(browser, f"document.querySelectorAll('.u-marker').length > 5 && {script}")
    assert sum(map(int, colour[4:-1].split(","))) > 300
    features = [{"name": "prefers-color-scheme", "value": "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    wait(browser, f"{script} != '{colour}'")


@pytest.mark.slow
def test_links_resolve_and_everything_can_be_read_aloud(browser, opened):
    script = """return [
      [...document.images].every(i => i.alt.length > 10),
      [...document.querySelectorAll('svg.chart, svg.spark')].every(s => s.getAttribute('aria-label').length > 20),
      [...document.querySelectorAll('main table:not(.u-legend)')].every(t => t.querySelector('thead th[scope=col]')),
      [...document.querySelectorAll('main table:not(.u-legend)')].every(t => t.querySelector('tbody th[scope=row]')),
      document.querySelectorAll('h1').length == 1 && !!document.documentElement.lang,
      (ids => new Set(ids).size == ids.length)([...document.querySelectorAll('[id]')].map(e => e.id)),
      [...document.querySelectorAll('a[href^="#"]')].every(a => document.getElementById(a.hash.slice(1))),
    ]"""
    for name in KINDS:
        path = opened(name)
        assert browser.execute_script(script) == [True] * 7, name
        links = browser.execute_script("return [...document.links].map(a => a.getAttribute('href'))")
        files = [link for link in links if not link.startswith("#")]
        assert all((path.parent / link).exists() for link in files), files


@pytest.mark.slow
def test_without_a_script_and_in_print_the_charts_stand_as_drawings(browser, opened):
    from selenium.webdriver.support.ui import WebDriverWait

    def shown(selector):
        return [found.is_displayed() for found in browser.find_elements("css selector", selector)]

    opened("first", scripts=False)
    assert shown("svg.chart") == [True] * 4 and shown(".uplot") == [] and shown("figure .key") == [True]
    opened("index", scripts=False)
    assert not any(shown(".scripted")) and len(shown("svg.spark")) == 4
    opened("first")
    WebDriverWait(browser, 30).until(lambda _: shown("svg.chart") == [False] * 4)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert shown("svg.chart") == [True] * 4 and not any(shown(".uplot"))


def column(browser, heading):
    """The texts of a column of the rows that are shown."""
    script = """
    const index = [...document.querySelectorAll('#runs thead th')].findIndex(th => th.textContent == arguments[0]);
    return [...document.querySelectorAll('#runs tbody tr')].filter(row => !row.hidden)
        .map(row => row.cells[index].textContent.trim())"""
    return browser.execute_script(script, heading)


@pytest.mark.slow
def test_the_index_is_sorted_by_a_click_and_filtered_by_words_and_conditions(browser, opened):
    opened("index", unfold=False)
    click = "[...document.querySelectorAll('#runs thead button')].find(b => b.textContent == arguments[0]).click()"
    browser.execute_script(click, "lambda")
    shown = [text for text in column(browser, "lambda") if text]  # what has none comes last
    assert column(browser, "lambda")[: len(shown)] == sorted(shown, reverse=True)
    browser.execute_script(click, "lambda")
    assert column(browser, "lambda")[: len(shown)] == sorted(shown)
    browser.execute_script(click, "test")
    assert [bool(text) for text in column(browser, "test")] == [True] * 2 + [False] * 6, "what has none comes last"
    filters = browser.find_element("css selector", "input[type=search]")
    for words, count in (
        ("stopped", 1),
        ("lambda<0.05 first", 0),
        ("lambda<0.05 second", 1),
        ("test>=70%", 2),
        ("x=y", 0),
    ):
        filters.clear()
        filters.send_keys(words)
        assert len(column(browser, "run")) == count, words
        assert browser.find_element("css selector", "output").text == f"{count} of 8"


@pytest.mark.slow
def test_ticked_runs_are_laid_over_each_other_and_named_by_what_differs(browser, opened):
    opened("index", unfold=False)
    figure = browser.find_element("css selector", ".overlays")
    assert not figure.is_displayed()
    rows = "[...document.querySelectorAll('#runs tbody tr')]"
    tick = (
        f"{rows}.filter(row => /first|second/.test(row.textContent)).forEach(row => row.querySelector('input').click())"
    )
    browser.execute_script(tick)
    labels = "[...document.querySelectorAll('.u-label')].map(e => e.textContent)"
    assert wait(browser, labels) == ["update step", "λ = 0.01", "λ = 0.1"]
    assert hover(browser, figure, ".u-value") == ["10", "31.68 %", "31.68 %"]
    browser.find_element("css selector", "option:nth-child(5)").click()
    assert hover(browser, figure, ".u-value")[1] == "1.6321"
    browser.execute_script(tick)
    assert not figure.is_displayed()


@pytest.mark.slow
def test_the_report_has_its_contents_in_sight_and_opens_what_a_link_leads_to(browser, opened):
    opened("report", unfold=False)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true); scrollTo(0, 1500)")
    top = "document.querySelector('nav').getBoundingClientRect().top"
    assert wait(browser, f"scrollY > 500 && {top} >= 0 && {top} < 100")
    opened("report", unfold=False)
    assert [d.get_attribute("open") for d in browser.find_elements("css selector", ".exhibit")] == [
        "true",
        None,
        None,
    ] * 2
    browser.execute_script("location.hash = document.querySelectorAll('.exhibit')[1].id")
    assert wait(browser, "document.querySelectorAll('.exhibit')[1].open")
    browser.find_element("css selector", "button.fold").click()
    assert wait(browser, "document.querySelectorAll('.exhibit[open]').length == 6")
