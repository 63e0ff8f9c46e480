// One function for each chart: what the page's JSON says → an option of ECharts. The functions
// draw; what is to be read from them, the server has computed.
"use strict";
(() => {
  // A property of the style may tell two colours; what an element of that colour has is the one in use.
  const probe = document.createElement("i");
  const colour = (name) => {
    if (!probe.isConnected) document.body.append(probe);
    probe.hidden = true;
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
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
      legend: { top: 0, type: "scroll", textStyle: { color: colour("ink") }, itemHeight: 10, itemWidth: 16 },
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
  const upright = (name, more) =>
    axis(name, { nameLocation: "end", nameGap: 12, nameTextStyle: { color: colour("soft"), align: "left" }, ...more });

  // A logarithmic axis with a margin on both sides of what it shows, and how far along it a value is.
  const ends = (values) => [Math.min(...values) * 0.7, Math.max(...values) * 1.5];
  const share = (value, [from, to]) => Math.log(value / from) / Math.log(to / from);
  const logged = (make, name, [min, max]) => make(name, {
    type: "log", min, max, axisLabel: { ...axis().axisLabel, showMinLabel: false, showMaxLabel: false },
  });

  // Where names have room beside their points, [x, y, name] in pixels: the first of some sides that
  // is free, or none. The point that `first` is true of has its name in any case; `others` are boxes
  // [x, y, width, height] with words of their own.
  function sides(points, tried, first = () => false, others = []) {
    const apart = (a, b) => a[0] + a[2] < b[0] || b[0] + b[2] < a[0] || a[1] + a[3] < b[1] || b[1] + b[3] < a[1];
    const taken = [...points.map(([x, y]) => [x - 5, y - 4, 10, 8]), ...others];
    const boxes = ([x, y, name]) => {
      const wide = 6.2 * name.length;
      return {
        right: [x + 7, y - 6, wide, 12], left: [x - 7 - wide, y - 6, wide, 12],
        top: [x - wide / 2, y - 20, wide, 12], bottom: [x - wide / 2, y + 8, wide, 12],
      };
    };
    const found = points.map(() => null);
    const order = points.map((_, k) => k).sort((a, b) => first(b) - first(a));
    for (const k of order) {
      const box = boxes(points[k]);
      const side = tried.find((each) => taken.every((other, n) => n === k || apart(box[each], other)));
      found[k] = side ?? (first(k) ? tried[0] : null);
      if (found[k]) taken.push(box[found[k]]);
    }
    return found;
  }

  // Bars of intervals as one broken line: ends joined two by two.
  const whiskers = (points, name, tint) => ({
    name, type: "line", silent: true, symbol: "none", z: 1, connectNulls: false,
    lineStyle: { width: 1.5, color: tint, opacity: 0.6 }, itemStyle: { color: tint },
    data: points.flatMap(({ x, y }) => [[x[1], y[0]], [x[2], y[0]], ["-", "-"], [x[0], y[1]], [x[0], y[2]], ["-", "-"]]),
  });

  const draw = {
    pareto(of, { width, height }) {
      const most = [0, 1].map((k) => Math.max(...of.points.map((p) => (k ? p.y : p.x)[2])) * 1.1);
      const place = sides(
        of.points.map((p) => [p.x[0] / most[0] * (width - 80), -p.y[0] / most[1] * (height - 100), p.name]),
        ["top", "bottom", "right", "left"], () => true,
      );
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
            label: { show: true, formatter: ({ data }) => data.of.name, distance: 7, color: colour("ink") },
            data: of.points.map((p, k) => ({ value: [p.x[0], p.y[0]], of: p, label: { position: place[k] } })),
          },
        ],
      });
    },

    memory(of, { width }) {
      return frame({
        legend: { ...frame().legend, type: "plain" },
        grid: { ...frame().grid, top: width > 520 ? 52 : 84 },
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
  draw.bars = (of, { width }) => {
    const longest = Math.max(...of.rows.map((r) => [...r.name].reduce((sum, c) => sum + (c > "\u2e80" ? 13 : 7), 0)));
    const room = Math.min(longest, Math.max(width * 0.36, 90));
    return frame({
      legend: { ...frame().legend, show: of.rows[0].values.length > 1 },
      grid: { ...frame().grid, left: room + 14, containLabel: false, bottom: 46 },
      xAxis: axis(of.x, { scale: false, min: 0 }),
      yAxis: { type: "category", inverse: true, data: of.rows.map((r) => r.name), axisLabel: { color: colour("ink"), width: room, overflow: "break" }, axisTick: { show: false } },
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
  };

  draw.lines = (of, { width }) => {
    const style = of.step ? { symbol: "none", step: "end" } : { symbolSize: 7 };
    return frame({
      legend: { ...frame().legend, type: "plain" },
      grid: { ...frame().grid, top: of.lines.length < 3 ? 48 : width > 520 ? 62 : 100 },
      xAxis: of.categories
        ? { type: "category", data: of.categories, axisLabel: { color: colour("soft") } }
        : axis(of.x, { scale: false }),
      yAxis: upright(of.y, of.log ? { type: "log", scale: true } : { scale: false, min: 0 }),
      tooltip: { ...frame().tooltip, trigger: "axis", valueFormatter: shown },
      series: of.lines.map((line) => ({ name: line.name, type: "line", data: line.points, ...style })),
    });
  };

  // Operators under the roof of their chip, a panel for each phase; a wide page has them side by side.
  draw.roofline = (of, { width }) => {
    const wide = width > 640;
    const SHAPES = ["circle", "rect", "triangle", "diamond", "pin", "roundRect", "emptyCircle"];
    const names = [...new Set(of.panels.flatMap((p) => p.points.map((o) => o.name)))];
    const each = of.panels.map((_, k) => wide
      ? { left: `${k * 50 + 1}%`, width: "47%", top: 82, bottom: 30, containLabel: true }
      : { left: 8, right: 16, top: `${k * 44 + 22}%`, height: "30%", containLabel: true });
    const all = of.panels.flatMap((p) => [...p.roofs.flatMap((r) => r.points), ...p.points.map((o) => o.at)]);
    const [low, high] = [Math.min(...all.map((p) => p[1])) / 2, Math.max(...all.map((p) => p[1])) * 2];
    return frame({
      title: of.panels.map((p, k) => ({
        text: p.title, left: wide ? each[k].left : 0, top: wide ? 30 : `${k * 44 + 12}%`,
        textStyle: { color: colour("ink"), fontSize: 12, fontWeight: "normal" },
      })),
      grid: each,
      legend: { ...frame().legend, type: "plain", data: names },
      xAxis: of.panels.map((p, k) => axis(k || wide ? of.x : "", {
        type: "log", gridIndex: k, min: p.roofs[0].points[0][0], max: p.roofs[0].points.at(-1)[0],
        axisLabel: { ...axis().axisLabel, showMinLabel: false, showMaxLabel: false },
      })),
      yAxis: of.panels.map((_, k) => upright(k ? "" : of.y, {
        type: "log", gridIndex: k, min: low, max: high,
        axisLabel: { ...axis().axisLabel, showMinLabel: false, showMaxLabel: false },
      })),
      tooltip: {
        ...frame().tooltip,
        formatter: ({ data: { of: o } }) =>
          `${o.name}${o.bounded ? "" : ` ${of.words.unbounded}`}\n${o.bounded ? `${of.x}: ${shown(o.at[0])}\n` : ""}` +
          `${of.y}: ${shown(o.at[1])}\n${of.words.attainable}: ${shown(o.attainable)}\n${shown(o.ms)} ${of.words.time}`,
      },
      series: of.panels.flatMap((p, k) => [
        ...p.roofs.map((roof, n) => ({
          type: "line", symbol: "none", silent: true, xAxisIndex: k, yAxisIndex: k, data: roof.points,
          lineStyle: { color: colour("soft"), width: 1.5, type: ["solid", "dashed", "dotted"][n % 3] },
          endLabel: { show: true, formatter: roof.name, color: colour("soft"), align: "right", offset: [-8, n ? 9 : -9] },
        })),
        ...p.points.map((o) => [o, names.indexOf(o.name)]).map(([o, n]) => ({
          name: o.name, type: "scatter", symbolSize: 12, xAxisIndex: k, yAxisIndex: k,
          symbol: o.bounded ? SHAPES[n % SHAPES.length] : "triangle", symbolRotate: o.bounded ? 0 : -90,
          itemStyle: { color: series()[n % 6] }, data: [{ value: o.at, of: o }], clip: false,
          markLine: {
            silent: true, symbol: "none", label: { show: false },
            lineStyle: { color: series()[n % 6], type: "dotted" },
            data: [[{ coord: o.at }, { coord: [o.at[0], o.attainable] }]],
          },
        })),
      ]),
    });
  };

  // Areas that stack, one panel beside the other.
  draw.fleet = (of) => {
    const width = 100 / of.panels.length;
    const each = of.panels.map((_, k) => ({
      left: `${k * width + 7}%`, width: `${width - 9}%`, top: 84, bottom: 40,
    }));
    const most = Math.max(...of.panels.map((p) =>
      Math.max(...of.periods.map((_, t) => p.series.reduce((sum, s) => sum + s.values[t], 0)))), ...of.asked);
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
      series: of.panels.flatMap((p, k) => [
        ...p.series.map((s, n) => ({
          name: s.name, type: "line", stack: `panel-${k}`, symbol: "none", xAxisIndex: k, yAxisIndex: k,
          color: series()[n % 6], areaStyle: { opacity: n < 6 ? 0.7 : 0.35 }, lineStyle: { width: 0.5 }, data: s.values,
        })),
        {
          name: of.words.asked, type: "line", symbol: "none", xAxisIndex: k, yAxisIndex: k, data: of.asked,
          color: colour("ink"), lineStyle: { width: 1.5, type: "dashed" },
        },
      ]),
    });
  };

  // A value between two bounds, the upper one drawn.
  draw.band = (of) => {
    const points = of.points.map(([x, low, high]) => ({ x: [x, x, x], y: [high, low, high] }));
    return frame({
      legend: { show: false },
      xAxis: axis(of.x),
      yAxis: upright(of.y),
      tooltip: {
        ...frame().tooltip,
        formatter: ({ data }) => `${of.x}: ${shown(data.x[0])}\n${of.y}: ${shown(data.y[1])}–${shown(data.y[2])}`,
      },
      series: [
        whiskers(points, of.y, colour("series-6")),
        { type: "line", symbolSize: 9, data: points.map((p) => ({ value: [p.x[0], p.y[0]], ...p })) },
      ],
    });
  };

  // A curve, and named points in groups beside it.
  draw.frontier = (of, { width, height }) => {
    const LOOKS = [["circle", "series-3"], ["rect", "series-2"], ["diamond", "series-6"]];
    const named = of.groups.flatMap((group, k) => group.points.map((p) => ({ ...p, k })));
    const all = [...of.curve, ...named.map((p) => p.at)];
    const [x, y] = [0, 1].map((k) => ends(all.map((at) => at[k])));
    const place = sides(
      named.map((p) => [share(p.at[0], x) * (width - 70), -share(p.at[1], y) * (height - 100), p.name]),
      ["right", "left", "top", "bottom"],
    );
    return frame({
      xAxis: logged(axis, of.x, x),
      yAxis: logged(upright, of.y, y),
      tooltip: {
        ...frame().tooltip,
        formatter: ({ data: { of: p } }) => `${p.name}\n${of.x}: ${shown(p.at[0])}\n${of.y}: ${shown(p.at[1])}`,
      },
      series: [
        { name: of.words.edge, type: "line", symbol: "none", silent: true, data: of.curve },
        ...of.groups.map((group, k) => ({
          name: group.name, type: "scatter", symbol: LOOKS[k][0], symbolSize: 10, itemStyle: { color: colour(LOOKS[k][1]) },
          label: { formatter: ({ data }) => data.of.name, color: colour("ink"), fontSize: 10 },
          data: named.map((p, n) => [p, place[n]]).filter(([p]) => p.k === k)
            .map(([p, side]) => ({ value: p.at, of: p, label: { show: Boolean(side), position: side ?? "right" } })),
        })),
      ],
    });
  };

  // Predicted against measured, a colour for each basis, a shape for each quantity.
  draw.fidelity = (of) => {
    const SHAPES = ["circle", "triangle", "rect", "diamond"];
    const bases = [...new Set(of.pairs.map((p) => p.basis))];
    const span = ends(of.pairs.flatMap((p) => [p.measured, p.predicted]));
    return frame({
      xAxis: logged(axis, of.x, span),
      yAxis: logged(upright, of.y, span),
      tooltip: {
        ...frame().tooltip,
        formatter: ({ data: { of: p } }) => `${of.quantities[p.quantity]}\n${of.x}: ${shown(p.measured)}\n${of.y}: ${shown(p.predicted)}`,
      },
      series: [
        {
          name: of.words.equal, type: "line", symbol: "none", silent: true, color: colour("soft"), lineStyle: { width: 1 },
          data: span.map((end) => [end, end]),
        },
        ...bases.flatMap((basis, k) => Object.keys(of.quantities).map((quantity, n) => ({
          name: basis, type: "scatter", symbol: SHAPES[n], symbolSize: 8, itemStyle: { color: series()[k % 6] },
          data: of.pairs.filter((p) => p.basis === basis && p.quantity === quantity)
            .map((p) => ({ value: [p.measured, p.predicted], of: p })),
        }))),
      ],
    });
  };

  // -- showing and keeping --------------------------------------------------------------------

  const charts = new Map();
  const read = (id) => JSON.parse(document.getElementById(`${id}-data`).textContent);

  function show(box) {
    const chart = charts.get(box.id) || echarts.init(box);
    charts.set(box.id, chart);
    chart.setOption(option(box), { notMerge: true });
  }

  // Some charts stand otherwise where they are narrow.
  const option = (box) => draw[box.dataset.chart](read(box.id), { width: box.clientWidth, height: box.clientHeight });

  function keep(id, form) {
    const chart = charts.get(id);
    let url = chart.getDataURL({ pixelRatio: 2, backgroundColor: colour("ground") });
    if (form === "svg") {
      const box = document.createElement("div");
      const size = { width: chart.getWidth(), height: chart.getHeight() };
      const copy = echarts.init(box, null, { renderer: "svg", ssr: true, ...size });
      copy.setOption({ ...option(document.getElementById(id)), backgroundColor: colour("ground") });
      url = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(copy.renderToSVGString())}`;
      copy.dispose();
    }
    const link = document.createElement("a");
    link.href = url;
    link.download = `chipwise-${read(id).name}.${form}`;
    link.click();
  }

  function all() {
    document.querySelectorAll("[data-chart]").forEach(show);
  }

  // Other scripts add charts of theirs, and draw those whose data they change.
  window.chipwise = { draw, frame, sides, ends, share, logged, axis, upright, colour, shown, show, charts };

  addEventListener("DOMContentLoaded", () => {
    all();
    addEventListener("theme", all);
    addEventListener("resize", () => {
      charts.forEach((chart) => chart.resize());
      all();
    });
    document.querySelectorAll("[data-keep]").forEach((box) => {
      box.hidden = false;
      box.addEventListener("click", ({ target }) => {
        if (target.dataset.form) keep(box.dataset.keep, target.dataset.form);
      });
    });
  });
})();
