// One function for each chart: what the page's JSON says → an option of ECharts. The functions
// draw; what is to be read from them, the server has computed.
"use strict";
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const series = () => [1, 2, 3, 4, 5, 6].map((at) => colour(`series-${at}`));
  const shown = (value) =>
    value === 0 ? "0" : Math.abs(value) >= 100
      ? Math.round(value).toLocaleString("en")
      : Number(value.toPrecision(3)).toString();

  // What all charts have: colours of the page, plain tooltips, axes with names.
  function frame(more) {
    return {
      animation: false,
      color: series(),
      textStyle: { color: colour("ink"), fontFamily: getComputedStyle(document.body).fontFamily },
      grid: { left: 12, right: 24, top: 44, bottom: 34, containLabel: true },
      tooltip: {
        renderMode: "richText", confine: true, backgroundColor: colour("panel"),
        borderColor: colour("line"), textStyle: { color: colour("ink"), fontSize: 12 },
      },
      legend: { top: 0, type: "scroll", textStyle: { color: colour("ink") }, itemHeight: 10 },
      ...more,
    };
  }
  const axis = (name, more) => ({
    type: "value", name, nameLocation: "middle", nameGap: 28, scale: true,
    nameTextStyle: { color: colour("soft") },
    axisLabel: { color: colour("soft"), formatter: shown, hideOverlap: true },
    axisLine: { show: true, lineStyle: { color: colour("soft") } },
    splitLine: { lineStyle: { color: colour("line") } },
    ...more,
  });
  const across = (name, more) => axis(name, { nameLocation: "end", nameGap: 12, ...more });
  const upright = (name, more) =>
    axis(name, { nameLocation: "end", nameGap: 12, nameTextStyle: { color: colour("soft"), align: "left" }, ...more });

  // Bars of intervals as one broken line: ends joined two by two.
  const whiskers = (points, name, tint) => ({
    name, type: "line", silent: true, symbol: "none", z: 1, connectNulls: false,
    lineStyle: { width: 1.5, color: tint, opacity: 0.6 }, itemStyle: { color: tint },
    data: points.flatMap(({ x, y }) => [[x[1], y[0]], [x[2], y[0]], ["-", "-"], [x[0], y[1]], [x[0], y[2]], ["-", "-"]]),
  });

  const draw = {
    pareto(of) {
      const front = of.points.filter((p) => p.front).sort((a, b) => a.x[0] - b.x[0]);
      return frame({
        legend: { ...frame().legend, data: [of.words.front, of.words.interval] },
        xAxis: axis(of.x),
        yAxis: upright(of.y),
        tooltip: {
          ...frame().tooltip,
          formatter: ({ data: { of: p } }) =>
            `${p.name}\n${p.text}\n${of.x}: ${shown(p.x[0])} (${shown(p.x[1])}–${shown(p.x[2])})\n` +
            `${of.y}: ${shown(p.y[0])} (${shown(p.y[1])}–${shown(p.y[2])})`,
        },
        series: [
          whiskers(of.points, of.words.interval, colour("series-6")),
          {
            name: of.words.front, type: "line", symbol: "none", silent: true, step: "end",
            lineStyle: { color: colour("series-2"), width: 2 }, itemStyle: { color: colour("series-2") },
            data: front.map((p) => [p.x[0], p.y[0]]),
          },
          {
            type: "scatter", symbolSize: 11, itemStyle: { color: colour("series-1") },
            label: { show: true, formatter: ({ data }) => data.of.name, position: "right", color: colour("ink") },
            labelLayout: { moveOverlap: "shiftY" },
            data: of.points.map((p) => ({ value: [p.x[0], p.y[0]], of: p })),
          },
        ],
      });
    },

    memory(of) {
      return frame({
        xAxis: axis(of.x, { scale: false, min: 0 }),
        yAxis: { type: "category", inverse: true, data: of.rows, axisLabel: { color: colour("ink") }, axisTick: { show: false } },
        tooltip: { ...frame().tooltip, valueFormatter: (v) => `${shown(v)} ${of.x}` },
        series: [
          ...of.parts.map((part) => ({
            name: part.name, type: "bar", stack: "memory", barMaxWidth: 26, data: part.values,
          })),
          {
            name: of.words.capacity, type: "scatter", symbol: "rect", symbolSize: [3, 26],
            itemStyle: { color: colour("ink") }, data: of.capacity.map((gb, at) => [gb, at]),
          },
        ],
      });
    },
  };

  // Values with their intervals, a row each.
  draw.bars = (of) =>
    frame({
      xAxis: axis(of.x, { scale: false, min: 0 }),
      yAxis: { type: "category", inverse: true, data: of.rows.map((r) => r.name), axisLabel: { color: colour("ink"), width: 150, overflow: "break" }, axisTick: { show: false } },
      tooltip: { ...frame().tooltip, valueFormatter: (v) => (Array.isArray(v) ? "" : `${shown(v)} ${of.x}`) },
      series: [
        { name: of.words.value, type: "bar", barMaxWidth: 26, data: of.rows.map((r) => r.values[0]) },
        ...(of.rows[0].values.length > 1 ? [{
          name: of.words.interval, type: "line", symbol: "none", silent: true, connectNulls: false,
          lineStyle: { width: 2, color: colour("ink") }, itemStyle: { color: colour("ink") },
          data: of.rows.flatMap((r, at) => [[r.values[1], at], [r.values[2], at], ["-", "-"]]),
        }] : []),
      ],
    });

  const lines = (of, more, each) =>
    frame({
      xAxis: axis(of.x, { scale: false }),
      yAxis: upright(of.y, more),
      tooltip: { ...frame().tooltip, trigger: "axis", valueFormatter: shown },
      series: of.lines.map((line) => ({ name: line.name, type: "line", data: line.points, ...each })),
    });
  draw.percentiles = (of) => lines(of, { type: "log", scale: true }, { symbolSize: 7 });
  draw.timeline = (of) => lines(of, { scale: false, min: 0 }, { symbol: "none", step: "end" });

  // Areas that stack, one panel beside the other.
  draw.fleet = (of) => {
    const width = 100 / of.panels.length;
    const each = of.panels.map((_, k) => ({
      left: `${k * width + 7}%`, width: `${width - 9}%`, top: 60, bottom: 40,
    }));
    const most = Math.max(...of.panels.map((p) =>
      Math.max(...of.periods.map((_, t) => p.series.reduce((sum, s) => sum + s.values[t], 0)))));
    return frame({
      title: of.panels.map((p, k) => ({
        text: p.title, left: each[k].left, top: 26,
        textStyle: { color: colour("ink"), fontSize: 12, fontWeight: "normal" },
      })),
      tooltip: { ...frame().tooltip, trigger: "axis", valueFormatter: shown },
      grid: each,
      xAxis: of.panels.map((_, k) => ({
        type: "category", gridIndex: k, data: of.periods, boundaryGap: false, axisLabel: { color: colour("soft") },
      })),
      yAxis: of.panels.map((_, k) => upright(k ? "" : of.y, { gridIndex: k, min: 0, max: most, scale: false, axisLabel: { show: !k, color: colour("soft"), formatter: shown } })),
      series: of.panels.flatMap((p, k) => p.series.map((s, n) => ({
        name: s.name, type: "line", stack: `panel-${k}`, symbol: "none", xAxisIndex: k, yAxisIndex: k,
        color: series()[n % 6], areaStyle: { opacity: n < 6 ? 0.7 : 0.35 }, lineStyle: { width: 0.5 }, data: s.values,
      }))),
    });
  };

  // -- showing and keeping --------------------------------------------------------------------

  const charts = new Map();
  const read = (id) => JSON.parse(document.getElementById(`${id}-data`).textContent);

  function show(box) {
    const chart = charts.get(box.id) || echarts.init(box);
    charts.set(box.id, chart);
    chart.setOption(draw[box.dataset.chart](read(box.id)), { notMerge: true });
  }

  function keep(id, form) {
    const chart = charts.get(id);
    let url = chart.getDataURL({ pixelRatio: 2, backgroundColor: colour("ground") });
    if (form === "svg") {
      const box = document.createElement("div");
      const size = { width: chart.getWidth(), height: chart.getHeight() };
      const copy = echarts.init(box, null, { renderer: "svg", ssr: true, ...size });
      copy.setOption({ ...draw[document.getElementById(id).dataset.chart](read(id)), backgroundColor: colour("ground") });
      url = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(copy.renderToSVGString())}`;
      copy.dispose();
    }
    const link = document.createElement("a");
    link.href = url;
    link.download = `chipwise-${document.getElementById(id).dataset.chart}.${form}`;
    link.click();
  }

  function all() {
    document.querySelectorAll("[data-chart]").forEach(show);
  }

  // Other scripts add charts of theirs, and draw those whose data they change.
  window.chipwise = { draw, frame, axis, upright, whiskers, colour, shown, show, charts };

  addEventListener("DOMContentLoaded", () => {
    all();
    addEventListener("theme", all);
    addEventListener("resize", () => charts.forEach((chart) => chart.resize()));
    document.querySelectorAll("[data-keep]").forEach((box) => {
      box.hidden = false;
      box.addEventListener("click", ({ target }) => {
        if (target.dataset.form) keep(box.dataset.keep, target.dataset.form);
      });
    });
  });
})();
