// Charts: drawn by Chart.js on [data-chart], from data the server formatted. Chart.js is fetched when first needed.
const probe = document.createElement("span");
let library = null;

function loadLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.body.dataset.chartSrc;
    script.addEventListener("load", resolve);
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  return library;
}

// A token may be light-dark(...), which only an element resolves.
function colour(token, alpha = 1) {
  document.body.append(probe);
  probe.style.color = `var(--${token})`;
  const value = getComputedStyle(probe).color;
  probe.remove();
  return alpha === 1 ? value : value.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);
}

function ticks(measure) {
  const style = measure === "ratio" ? { style: "percent" } : { notation: "compact", maximumFractionDigits: 2 };
  const format = new Intl.NumberFormat(document.documentElement.dataset.locale, style);
  return (value) => format.format(value);
}

function isGrouped(data) {
  return !data.stacked && data.series.filter((series) => (series.kind ?? data.kind) === "bar").length > 1;
}

function dataset(series, data) {
  const kind = series.kind ?? data.kind;
  const main = colour(`chart-${series.colour}`);
  const pale = colour(`chart-${series.colour}`, 0.4);
  const isOpen = (index) => data.openFrom !== null && index >= data.openFrom;
  const shared = {
    label: series.label,
    data: series.values.map((value) => (value === null ? null : Number(value))),
    type: kind,
    texts: series.texts,
    order: kind === "line" ? 0 : 1,
  };
  if (kind === "bar") {
    const fill = ({ dataIndex }) => (isOpen(dataIndex) ? pale : main);
    return {
      ...shared, backgroundColor: fill, hoverBackgroundColor: fill, borderColor: colour("surface"), hoverBorderColor: colour("surface"),
      borderWidth: data.stacked ? { top: 1 } : 0, borderRadius: 2, barPercentage: 0.94,
      // Bars of one category stand close together: two that are each as narrow as can be would drift apart.
      ...(isGrouped(data) ? { maxBarThickness: 64, categoryPercentage: 0.5 } : { maxBarThickness: 26, categoryPercentage: 0.82 }),
    };
  }
  const dash = series.faint ? [4, 4] : [];
  return {
    ...shared, borderColor: series.faint ? colour("chart-6") : main, backgroundColor: colour(`chart-${series.colour}`, 0.1),
    borderWidth: series.faint ? 1.5 : 2, borderDash: dash, fill: !series.faint && data.kind === "line" && data.series.length === 1,
    segment: { borderDash: ({ p1DataIndex }) => (isOpen(p1DataIndex) ? [3, 3] : dash) },
    pointRadius: 0, pointHoverRadius: 4, pointHoverBackgroundColor: main, cubicInterpolationMode: "monotone", spanGaps: false, stack: series.label,
  };
}

function options(data) {
  const faint = colour("text-faint");
  const font = { family: "Inter", size: 12 };
  const stacked = data.stacked;
  const zero = colour("line-control");
  const line = colour("line-soft");
  return {
    animation: false, responsive: true, maintainAspectRatio: false, locale: document.documentElement.dataset.locale,
    interaction: { mode: "index", intersect: false },
    scales: {
      x: { stacked, grid: { display: false }, border: { display: false }, ticks: { color: faint, font, maxRotation: 0, autoSkipPadding: 16 } },
      y: { stacked, beginAtZero: true, border: { display: false }, grid: { color: ({ tick }) => (tick.value === 0 ? zero : line), tickLength: 0 },
        ticks: { color: faint, font, maxTicksLimit: 5, padding: 8, callback: ticks(data.measure) } },
    },
    plugins: {
      legend: { display: false },
      tooltip: {
        backgroundColor: colour("raised"), borderColor: colour("line"), borderWidth: 1, titleColor: colour("text"), bodyColor: colour("text-soft"),
        titleFont: { ...font, weight: 600 }, bodyFont: font, padding: 10, cornerRadius: 6, boxWidth: 8, boxHeight: 8, boxPadding: 6, usePointStyle: true,
        callbacks: { label: (item) => `${item.dataset.label}: ${item.dataset.texts[item.dataIndex]}` },
      },
    },
  };
}

async function draw(canvas) {
  await loadLibrary();
  await document.fonts.ready;
  if (!canvas.isConnected) return;
  Chart.getChart(canvas)?.destroy();
  const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  const datasets = data.series.map((series) => dataset(series, data));
  new Chart(canvas, { type: data.kind, data: { labels: data.labels, datasets }, options: options(data) });
}

// The event fires on the inserted root itself, which may be the canvas.
function within(root) {
  return root.matches?.("[data-chart]") ? [root] : [...root.querySelectorAll("[data-chart]")];
}

document.addEventListener("htmx:load", (event) => within(event.detail.elt).forEach(draw));
document.addEventListener("htmx:beforeCleanupElement", (event) => {
  if (event.target.matches?.("[data-chart]")) globalThis.Chart?.getChart(event.target)?.destroy();
});
matchMedia("print").addEventListener("change", () => within(document).forEach(draw));
document.addEventListener("tollgate:theme", () => within(document).forEach(draw));
