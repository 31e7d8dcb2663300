"use strict";
const $ = id => document.getElementById(id);

// Small helpers ------------------------------------------------------------------------------------------------------

async function unpack(id) {
  const bytes = Uint8Array.from(atob($(id).textContent), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function runScript(text) {
  document.head.append(make("script", {textContent: text}));
}

async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // a page from a file may lack the clipboard's interface
    const area = make("textarea", {value: text});
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  document.body.dataset.copied = text;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1200);
}

function copyButton(text) {
  const button = make("button", {type: "button", textContent: "copy", title: text});
  button.setAttribute("aria-label", `copy: ${text}`);
  button.onclick = event => { event.stopPropagation(); copy(text, button); };
  return button;
}

function commandLine(text) {
  return make("div", {className: "command"}, make("code", {textContent: text}), copyButton(text));
}

// Tables -------------------------------------------------------------------------------------------------------------

// A cell is either a text or [text, number to sort by]; without a number (null) it comes last in any order.
const textOf = cell => Array.isArray(cell) ? cell[0] : cell;
const orderOf = cell => Array.isArray(cell) ? cell[1] : cell;

function compareCells(a, b, first, second, column, direction) {
  const x = orderOf(a), y = orderOf(b);
  if (x === null || y === null) return x === y ? 0 : ((x === null) === (direction === "asc") ? 1 : -1);
  if (typeof x === "number" && typeof y === "number") return x === y ? 0 : x - y;
  return String(textOf(a)).localeCompare(String(textOf(b)), "en", {numeric: true});
}

function table(id, {headings, rows, classes, commands}, filter, matches, options = {}) {
  const columns = headings.map((title, i) => ({
    title, field: `c${i}`, sorter: compareCells, frozen: i === 0 && innerWidth > 600,
    hozAlign: rows.some(row => Array.isArray(row[i])) ? "right" : "left",
    formatter: cell => document.createTextNode(textOf(cell.getValue())),
  }));
  if (commands) {
    columns.push({title: "command", headerSort: false, formatter: cell => copyButton(commands[cell.getData().place])});
  }
  const data = rows.map((row, place) => ({place, ...Object.fromEntries(row.map((cell, i) => [`c${i}`, cell]))}));
  const made = new Tabulator(`#${id}`, {
    data, columns, index: "place", layout: "fitDataTable", columnDefaults: {headerSortTristate: true},
    rowFormatter: row => { if (classes?.[row.getData().place]) row.getElement().classList.add(classes[row.getData().place]); },
    ...options,
  });
  const count = shown => { $(matches).textContent = `${shown === rows.length ? "" : `${shown} of `}${rows.length} ${rows.length === 1 ? "row" : "rows"}`; };
  count(rows.length);
  made.on("dataFiltered", (_, shown) => count(shown.length));
  made.on("tableBuilt", () => {
    for (const header of $(id).querySelectorAll(".tabulator-col.tabulator-sortable")) {
      header.tabIndex = 0;
      header.onkeydown = event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); header.click(); } };
    }
    document.body.dataset[id.replaceAll("-", "")] = "built";
  });
  $(filter).oninput = () => {
    const words = $(filter).value.toLowerCase().split(/\s+/).filter(Boolean);
    made.setFilter(row => {
      const text = rows[row.place].map(textOf).join(" ").toLowerCase();
      return words.every(word => text.includes(word));
    });
  };
  return made;
}

// Lines and charts ---------------------------------------------------------------------------------------------------

const FIRST = 12;
const CONFIG = {responsive: true, displayModeBar: false};
const redraws = [];
const redraw = () => redraws.forEach(draw => draw());

function fade(colour, alpha) {
  const parts = [1, 3, 5].map(i => parseInt(colour.slice(i, i + 2), 16));
  return `rgba(${parts.join(",")},${alpha})`;
}

// A box for each line, and buttons for many; returns the looks by name, and the names that are hidden.
function choice(lines, place) {
  const hidden = new Set(lines.slice(FIRST).map(line => line.name));
  const boxes = lines.map((line, i) => {
    const box = make("input", {type: "checkbox", checked: i < FIRST});
    box.dataset.line = line.name;
    box.onchange = () => { box.checked ? hidden.delete(line.name) : hidden.add(line.name); redraw(); };
    const swatch = make("span", {className: "swatch"});
    swatch.style.borderTopColor = line.colour;
    swatch.style.borderTopStyle = line.dash === "solid" ? "solid" : "dashed";
    return [box, make("label", {}, box, swatch, line.name)];
  });
  const choose = wanted => {
    hidden.clear();
    boxes.forEach(([box], i) => { box.checked = wanted(i); if (!box.checked) hidden.add(lines[i].name); });
    redraw();
  };
  const button = (text, wanted) => Object.assign(make("button", {type: "button", textContent: text}), {onclick: () => choose(wanted)});
  const buttons = make("div", {className: "row"}, button("all", () => true), button("none", () => false));
  if (lines.length > FIRST) buttons.prepend(button(`the first ${FIRST}`, i => i < FIRST));
  const group = make("div", {className: "lines"}, ...boxes.map(([, label]) => label));
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Lines that are drawn");
  place.append(buttons, group);
  return {looks: Object.fromEntries(lines.map(line => [line.name, line])), hidden};
}

function traces(curve, look, x) {
  const common = {x: curve.x[x], name: curve.name, legendgroup: curve.name, showlegend: false, mode: "lines", connectgaps: false};
  const drawn = [];
  if (curve.low) {
    drawn.push({...common, y: curve.low, line: {width: 0, shape: curve.shape}, hoverinfo: "skip"});
    drawn.push({...common, y: curve.high, line: {width: 0, shape: curve.shape}, fill: "tonexty", fillcolor: fade(look.colour, 0.1), hoverinfo: "skip"});
  }
  const line = {color: look.colour, dash: look.dash, width: 2, shape: curve.shape};
  drawn.push({...common, y: curve.y, line, mode: curve.y.length < 2 || curve.points ? "lines+markers" : "lines",
    marker: {size: curve.dots ? 11 : 6, symbol: curve.dots ? "line-ew-open" : "circle", line: {width: 3}}, meta: {line: curve.name}});
  if (curve.dots) {
    drawn.push({x: curve.dots.x, y: curve.dots.y, mode: "markers", name: curve.name, showlegend: false,
      marker: {color: fade(look.colour, 0.4), size: 6}, hoverinfo: "y+name"});
  }
  if (curve.marks) {
    drawn.push({x: curve.marks.x, y: curve.marks.y, mode: "markers", name: curve.name, showlegend: false,
      marker: {symbol: "x", color: look.colour, size: 9}, hovertext: curve.marks.text, hoverinfo: "text+name"});
  }
  return drawn;
}

// The range of what was trained, without x = 0; undefined, which shows all, where that is nothing.
function trained(curves, x, log) {
  const seen = curves.flatMap(c => [c.y, c.low ?? [], c.high ?? []].flatMap(ys => ys.filter((y, i) => c.x[x][i] > 0)));
  const ends = seen.filter(y => y !== null && (!log || y > 0)).map(y => log ? Math.log10(y) : y);
  if (!ends.length) return undefined;
  const low = ends.reduce((a, b) => Math.min(a, b)), high = ends.reduce((a, b) => Math.max(a, b));
  const margin = 0.04 * (high - low) || 0.5;
  return [low - margin, high + margin];
}

function select(label, options, onchange) {
  const chosen = make("select");
  options.forEach(([value, text]) => chosen.append(make("option", {value, textContent: text})));
  chosen.onchange = onchange;
  return [make("label", {}, `${label} `, chosen), chosen];
}

// A chart has views (what is up), axes (what is along), and curves {name, view, x: {axis: [...]}, y, low, high}.
function chart(spec, shared) {
  const own = make("div");
  const {looks, hidden} = spec.lines ? choice(spec.lines, own) : shared;
  const plot = make("div", {className: "plot", id: `plot-${spec.id}`});
  const draw = () => {
    const view = spec.views[+views.value], axis = spec.axes[+axes.value];
    const curves = spec.curves.filter(c => c.view === view.key && !hidden.has(c.name) && looks[c.name]);
    const layout = {
      margin: {l: 58, r: 12, t: 8, b: 44}, hovermode: "closest", font: {size: 12},
      xaxis: {title: {text: axis.title}, type: logX.checked ? "log" : "linear", gridcolor: "#eee", zeroline: false},
      yaxis: {title: {text: view.title}, type: logY.checked ? "log" : "linear", gridcolor: "#eee", zeroline: false},
    };
    if (view.zero) layout.yaxis.rangemode = "tozero";
    if (view.range && !logY.checked) layout.yaxis.range = view.range;
    if (spec.scaled) layout.yaxis.range = trained(curves, axis.key, logY.checked);
    const longest = Math.max(0, ...curves.map(c => c.x[axis.key].at(-1) ?? 0));
    if (axis.key === "epoch" && longest <= 12) layout.xaxis.dtick = 1;
    if (axis.ticks) {  // long names are upright, where none is cut off at an end
      const long = axis.ticks.length > 1 && axis.ticks.join("").length > 60;
      Object.assign(layout.xaxis, {automargin: true, tickangle: long ? -90 : 0, title: {text: long ? "" : axis.title}});
    }
    if (axis.ticks) Object.assign(layout.xaxis, {tickvals: axis.ticks.map((_, i) => i), ticktext: axis.ticks});
    return Plotly.react(plot, curves.flatMap(c => traces(c, looks[c.name], axis.key)), layout, CONFIG);
  };
  const reset = () => { logX.checked = spec.axes[+axes.value].log; logY.checked = spec.views[+views.value].log; draw(); };
  const [viewLabel, views] = select("show", spec.views.map((v, i) => [i, v.title]), reset);
  const [axisLabel, axes] = select("by", spec.axes.map((a, i) => [i, a.title]), reset);
  const [logX, logY] = [make("input", {type: "checkbox"}), make("input", {type: "checkbox"})];
  logX.onchange = logY.onchange = draw;
  const row = make("div", {className: "row"});
  if (spec.views.length > 1) row.append(viewLabel);
  if (spec.axes.length > 1) row.append(axisLabel);
  row.append(make("label", {}, logX, " log x"), make("label", {}, logY, " log y"));
  section(spec, own, row, plot);
  redraws.push(draw);
  reset();
}

function image(spec) {
  const picture = make("img", {src: spec.image, alt: spec.title, loading: "lazy"});
  section(spec, make("div", {className: "figure"}, picture));
}

// A spec has an id, a title, and perhaps a caption, a command, and a table below.
function section(spec, ...content) {
  const heading = make("h2", {textContent: spec.title, id: `heading-${spec.id}`});
  const made = make("section", {id: `chart-${spec.id}`}, heading, ...content);
  made.setAttribute("aria-labelledby", heading.id);
  if (spec.caption) made.append(make("p", {className: "caption", textContent: spec.caption}));
  if (spec.command) made.append(commandLine(spec.command));
  $("charts").append(made);
  if (spec.table) {
    const id = `table-${spec.id}`;
    const matches = make("output", {id: `${id}-matches`});
    const filter = make("input", {id: `${id}-filter`, type: "search"});
    const row = make("div", {className: "row"}, make("label", {}, "Filter ", filter), matches);
    made.append(row, make("div", {className: "scroll"}, make("div", {id})));
    table(id, spec.table, filter.id, matches.id, spec.table.rows.length > 12 ? {height: "380px"} : {});
  }
}

// The page -----------------------------------------------------------------------------------------------------------

async function main() {
  runScript(await unpack("tabulator"));
  runScript(await unpack("plotly"));
  const data = JSON.parse(await unpack("data"));
  $("sentences").append(...data.answer.map(text => make("p", {textContent: text})));
  $("notices").append(...data.notices.map(text => make("li", {textContent: text})));
  table("table", data.table, "filter", "matches");
  $("table-caption").textContent = data.table.caption;
  $("table-command").replaceWith(commandLine(data.command));
  table("run-table", data.runs, "run-filter", "run-matches", {height: "420px"});
  if (data.certificates.rows.length) {
    $("certificates").hidden = false;
    $("certificates").append(make("input", {id: "certificate-filter", hidden: true}), make("output", {id: "certificate-matches"}));
    table("certificate-table", data.certificates, "certificate-filter", "certificate-matches", {maxHeight: "360px"});
  }
  const shared = choice(data.lines, $("lines"));
  for (const spec of data.charts) spec.image ? image(spec) : chart(spec, shared);
  for (const heading of document.querySelectorAll("main h2")) {
    if (!heading.closest("[hidden]")) $("contents").append(make("a", {href: `#${heading.parentElement.id}`, textContent: heading.textContent}));
  }
  document.body.dataset.ready = "true";
}

main();
