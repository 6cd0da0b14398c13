// Values under the mouse, tables that are sorted and filtered, the curves of ticked runs in one chart.
// Without this script a page shows the same at rest. Charts are drawn by uPlot (MIT licence, beside this file).
"use strict";

const colour = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

function written(value, unit = "") {
  if (value == null) return "–";
  return unit ? value.toFixed(2) + unit : value.toLocaleString("en", {maximumSignificantDigits: 5});
}

// Rows of x and a value a series, null where a series has none at this x.
function align(series) {
  const rows = [], byX = new Map();
  series.forEach((s, k) => s.x.forEach((x, i) => {
    if (!byX.has(x)) byX.set(x, []);
    let row = byX.get(x).find(one => !(k in one.y));
    if (!row) {
      row = {x, y: {}};
      byX.get(x).push(row);
      rows.push(row);
    }
    row.y[k] = s.y[i];
  }));
  rows.sort((a, b) => a.x - b.x);
  return [rows.map(row => row.x), ...series.map((_, k) => rows.map(row => row.y[k] ?? null))];
}

// The measured row nearest to the mouse; of a line none before its start or after its end.
function nearest(u, k, at) {
  const values = u.data[k];
  let left = at, right = at;
  while (left >= 0 && values[left] == null) left--;
  while (right < values.length && values[right] == null) right++;
  const outside = left < 0 || right >= values.length;
  if (k === 0 || (outside && !u.series[k].dots)) return values[at] == null ? null : at;
  if (outside) return left < 0 ? right : left;
  return at - left <= right - at ? left : right;
}

function axis(label, unit, side) {
  const line = {stroke: colour("rule"), width: 1};
  const values = (u, ticks) => ticks.map(tick => tick.toLocaleString("en", {maximumSignificantDigits: 5}) + unit);
  const room = side ? (u, texts) => 14 + 6.2 * Math.max(3, ...(texts ?? []).map(text => text.length)) : 24;
  return {stroke: colour("soft"), font: "11px system-ui, sans-serif", label, labelSize: 16, labelGap: 0,
          labelFont: "11px system-ui, sans-serif", grid: line, ticks: {...line, size: 4}, values, size: room, gap: 3};
}

function line(s, unit, k) {
  const stroke = colour(s.colour);
  const note = (x, y) => s.notes?.[s.x.findIndex((other, i) => other === x && s.y[i] === y)];
  const value = (u, y, _, i) => [written(y, unit), y != null && note(u.data[0][i], y)].filter(Boolean).join(", ");
  if (s.dots) return {label: s.name, value, stroke, dots: true, paths: () => null, points: {show: false}};
  return {label: s.name, value, stroke, width: s.width ?? 1.75, dash: s.dash ?? (s.name === "validation" ? [6, 3] : []),
          spanGaps: true, pxAlign: 0, points: {show: s.x.length < 40, size: 4, fill: stroke}};
}

// The ends of cycles, the range of the seeds around a line, and the deviation at a mark.
function behind(u, chart) {
  const ctx = u.ctx, X = v => u.valToPos(v, "x", true), Y = v => u.valToPos(v, "y", true), box = u.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(box.left, box.top, box.width, box.height);
  ctx.clip();
  const stroke = (name, dash, draw) => {
    ctx.strokeStyle = colour(name);
    ctx.setLineDash(dash);
    ctx.beginPath();
    draw();
    ctx.stroke();
  };
  stroke("soft", [3, 4], () => (chart.marks ?? []).forEach(x => {
    ctx.moveTo(X(x), box.top);
    ctx.lineTo(X(x), box.top + box.height);
  }));
  for (const s of chart.series.filter(s => s.low)) {
    if (s.dots) stroke(s.colour, [], () => s.x.forEach((x, i) => {
      ctx.moveTo(X(x), Y(s.low[i]));
      ctx.lineTo(X(x), Y(s.high[i]));
    }));
    else {
      ctx.fillStyle = colour(s.colour);
      ctx.globalAlpha = 0.2;
      ctx.beginPath();
      s.x.forEach((x, i) => ctx.lineTo(X(x), Y(s.high[i])));
      [...s.x].reverse().forEach((x, i) => ctx.lineTo(X(x), Y(s.low[s.low.length - 1 - i])));
      ctx.fill();
      ctx.globalAlpha = 1;
    }
  }
  ctx.restore();
}

// Single results: a disc for ours, a diamond for one in a report, a ring for the best.
function dots(u, s) {
  const {ctx} = u, radius = 3.5 * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = ctx.strokeStyle = colour(s.colour);
  ctx.lineWidth = 1.5 * devicePixelRatio;
  s.x.forEach((value, i) => {
    const x = u.valToPos(value, "x", true), y = u.valToPos(s.y[i], "y", true), r = 1.5 * radius;
    ctx.beginPath();
    if (s.name === "reported") [[0, -r], [r, 0], [0, r], [-r, 0]].forEach(([dx, dy]) => ctx.lineTo(x + dx, y + dy));
    else ctx.arc(x, y, s.name === "best" ? 2 * radius : radius, 0, 2 * Math.PI);
    ctx.closePath();
    if (s.name === "reported" || s.name === "best") ctx.stroke();
    else ctx.fill();
  });
  ctx.restore();
}

const drawn = new Map();  // by place: the chart, and uPlot's drawing of it

// From one end of the chart to the other, unless somebody has zoomed in.
function across(domain) {
  const range = (u, low, high) => low > u.data[0][0] || high < u.data[0].at(-1) ? [low, high] : domain;
  return domain ? {time: false, range} : {time: false};
}

function plot(place, chart) {
  drawn.get(place)?.u.destroy();
  const width = place.clientWidth, group = place.closest("figure")?.id;
  const options = {
    width, height: Math.round(Math.min(340, Math.max(210, 0.6 * width))),
    cursor: {dataIdx: nearest, points: {size: 8}, ...(group ? {sync: {key: group}} : {})},
    scales: {x: across(chart.domain), y: chart.range ? {range: () => chart.range} : {}},
    axes: [axis(chart.x, "", 0), axis(chart.y ?? "", chart.unit, 1)],
    series: [{label: chart.x, value: (u, v) => written(v)}, ...chart.series.map((s, k) => line(s, chart.unit, k))],
    hooks: {drawAxes: [u => behind(u, chart)], draw: [u => chart.series.filter(s => s.dots).forEach(s => dots(u, s))]},
  };
  drawn.set(place, {chart, u: new uPlot(options, align(chart.series), place)});
  place.classList.add("drawn");
}

const resized = new ResizeObserver(entries => entries.forEach(({target, contentRect}) => {
  const {chart, u} = drawn.get(target) ?? {};
  if (u && contentRect.width && Math.abs(u.width - contentRect.width) > 1) plot(target, chart);
}));
const seen = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(({target}) => {
  seen.unobserve(target);
  plot(target, JSON.parse(target.dataset.chart));
  resized.observe(target);
}), {rootMargin: "300px"});

// What a cell is compared by: a number where it is one.
function valueOf(cell) {
  const text = cell.dataset.v ?? cell.textContent.trim(), number = Number(text.replace(/[,%\s]/g, ""));
  return text === "" ? null : Number.isNaN(number) ? text.toLowerCase() : number;
}

function sortable(table) {
  const headings = all("thead th", table);
  headings.forEach((th, column) => {
    if (!th.textContent.trim()) return;
    const button = document.createElement("button");
    button.append(...th.childNodes);
    th.append(button);
    button.addEventListener("click", () => {
      const first = th.classList.contains("n") ? "descending" : "ascending";
      const second = {ascending: "descending", descending: "ascending"}[first];
      const order = th.getAttribute("aria-sort") === first ? second : first;
      headings.forEach(other => other.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].map(row => [valueOf(row.cells[column]), row]);
      rows.sort(([a], [b]) => a === b ? 0 : a === null ? 1 : b === null ? -1 : typeof a !== typeof b
        ? (typeof a === "number" ? -1 : 1) : sign * (a < b ? -1 : 1));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}

const COMPARE = {"<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "!=": (a, b) => a !== b, "=": (a, b) => a === b,
                 "<": (a, b) => a < b, ">": (a, b) => a > b};

// A word that a row has somewhere, or a condition on a column such as lambda<0.01.
function test(word, names) {
  const [, name, sign, text] = word.match(/^(.+?)(<=|>=|!=|=|<|>)(.+)$/) ?? [];
  const column = names.indexOf(name);
  if (column < 0) return row => row.textContent.toLowerCase().includes(word);
  const number = Number(text.replace("%", "")), given = Number.isNaN(number) ? text : number;
  return row => {
    const value = valueOf(row.cells[column]), percent = row.cells[column].textContent.includes("%");
    const wanted = percent && given <= 1 && !text.includes("%") ? 100 * given : given;
    return value !== null && typeof value === typeof wanted && COMPARE[sign](value, wanted);
  };
}

function filtered(input) {
  const table = document.getElementById(input.getAttribute("aria-controls")), rows = [...table.tBodies[0].rows];
  input.addEventListener("input", () => {
    const names = all("thead th", table).map(th => th.textContent.trim().toLowerCase());
    const tests = input.value.toLowerCase().split(/\s+/).filter(Boolean).map(word => test(word, names));
    rows.forEach(row => { row.hidden = !tests.every(fits => fits(row)); });
    input.nextElementSibling.textContent = `${rows.filter(row => !row.hidden).length} of ${rows.length}`;
  });
}

// The ticked runs of a table in one chart, each named by the settings in which they differ.
function overlaid(figure) {
  const table = document.getElementById("runs"), select = figure.querySelector("select");
  const curves = JSON.parse(document.getElementById("curves").textContent);
  const update = () => {
    const rows = [...table.tBodies[0].rows].filter(row => row.querySelector("input")?.checked);
    const settings = all("thead th", table).map((th, i) => [th.textContent.trim(), i, "setting" in th.dataset])
      .filter(([, i, is]) => is && new Set(rows.map(row => row.cells[i].textContent)).size > 1);
    const named = count => rows.map(row => settings.slice(0, count).filter(([, i]) => row.cells[i].textContent.trim())
      .map(([name, i]) => `${name.replace("lambda", "λ").replace("eta", "η")} = ${row.cells[i].textContent.trim()}`).join(", "));
    const names = named(settings.findIndex((_, i) => new Set(named(i + 1)).size === rows.length) + 1 || 5);
    const thinner = Math.min(0.5, 3 / rows.length);  // of lines that lie on each other, both are seen
    const series = rows.map((row, k) => {
      const {step, ...columns} = curves[row.dataset.run], alone = names.filter(name => name === names[k]).length === 1;
      return {name: names[k] && alone ? names[k] : [row.dataset.run, names[k]].filter(Boolean).join(" "), x: step,
              y: columns[select.value], colour: `c${k % 7}`, width: 1.5 + thinner * (rows.length - 1 - k),
              dash: [[], [8, 4], [2, 3]][Math.floor(k / 7) % 3]};
    });
    figure.hidden = !rows.length;
    const unit = select.value.endsWith("accuracy") ? " %" : "", place = figure.querySelector(".overlay");
    if (rows.length) plot(place, {x: "update step", unit, series});
    resized.observe(place);
  };
  table.addEventListener("change", update);
  select.addEventListener("change", update);
  update();
}

// A link into what is folded opens it.
function unfold() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
  if (target) target.scrollIntoView();
}

document.documentElement.classList.add("script");
all(".live").forEach(place => seen.observe(place));
all("table.sortable").forEach(sortable);
all("input[type=search]").forEach(filtered);
all("figure.overlays").forEach(overlaid);
all("button.fold").forEach(button => button.addEventListener("click", () => {
  const open = all("main details:not([open])").length > 0;
  all("main details").forEach(details => { details.open = open; });
}));
addEventListener("hashchange", unfold);
addEventListener("beforeprint", () => all("details").forEach(details => { details.open = true; }));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  drawn.forEach(({chart}, place) => plot(place, chart));
});
unfold();
