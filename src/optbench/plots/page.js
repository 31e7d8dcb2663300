"use strict";
// What the interactive pages share: unpacking, the runs that can be hidden, tables.
const $ = id => document.getElementById(id);
const unpack = async text => {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const GREY = [[0, "#ffffff"], [0.4, "#e4eaf0"], [0.75, "#b9c6d3"], [1, "#8d9dae"]];
const CONFIG = {responsive: true, displayModeBar: false};
const element = (tag, text) => Object.assign(document.createElement(tag), {textContent: text});

// A box that hides a track, which is known by a key, or shows it again.
function choice(key, text, colour, hidden) {
  const label = element("label", ""), box = element("input", ""), swatch = element("span", "");
  box.type = "checkbox";
  box.checked = !hidden.has(key);
  box.dataset.track = key;
  box.onchange = () => { box.checked ? hidden.delete(key) : hidden.add(key); draw(); };
  swatch.className = "swatch";
  swatch.style.background = colour;
  label.append(box, swatch, text);
  return label;
}

// A table of texts; without a body it is empty.
function rows(table, head, body) {
  const line = (cells, tag) => { const row = element("tr", ""); row.append(...cells.map(text => element(tag, text))); return row; };
  table.replaceChildren(...(body.length ? [line(head, "th"), ...body.map(cells => line(cells, "td"))] : []));
}

// Load Plotly and the data, let the page begin with these, and say that it stands.
async function boot(plotly, data, begin) {
  document.head.append(element("script", await unpack(plotly)));
  begin(JSON.parse(await unpack(data)));
  $("step").oninput = draw;
  $("play").onclick = play;
  document.body.dataset.ready = "yes";
}
