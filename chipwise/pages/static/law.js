// The map of the rules: chips coloured by their status on a day, and where each rule speaks.
"use strict";
(() => {
  const { draw, frame, sides, upright, axis, colour, shown } = window.chipwise;
  // A status has a colour and a shape, so that neither has to be told apart alone.
  const LOOK = {
    free: ["series-3", "circle"], notify: ["series-1", "circle"],
    licence_approval: ["series-1", "triangle"], discouraged: ["series-5", "triangle"],
    licence_case_by_case: ["series-5", "diamond"], licence_denial: ["series-2", "rect"],
    prohibited: ["wrong", "rect"], unknown: ["series-6", "emptyCircle"],
  };
  const slider = () => document.getElementById("day");

  draw.rules = (of, { width, height }) => {
    const at = Number(slider().value);
    const day = of.days[at];
    const edges = (values) => [Math.min(...values) * 0.7, Math.max(...values) * 1.5];
    const [left, right] = edges(of.chips.map((c) => c.at[0]));
    const [low, high] = edges(of.chips.map((c) => c.at[1]));
    const share = (value, from, to) => Math.log(value / from) / Math.log(to / from);
    const place = sides(
      of.chips.map((c) => [
        share(c.at[0], left, right) * (width - 70), -share(c.at[1], low, high) * (height - 110), c.name,
      ]),
      ["right", "left"], (k) => of.chips[k].name === of.asked,
    );
    const named = new Map(of.chips.map((c, k) => [c.name, place[k]]));
    const within = (value, from, to) => Math.min(Math.max(value, from), to);
    const regions = of.regions.filter((r) => r.from <= day && (r.to === null || day < r.to));
    const ends = { ...axis().axisLabel, showMinLabel: false, showMaxLabel: false };
    return frame({
      legend: { ...frame().legend, type: "plain", data: Object.values(of.statuses) },
      grid: { ...frame().grid, top: width > 640 ? 56 : 110 },
      xAxis: axis(of.x, { type: "log", min: left, max: right, axisLabel: ends }),
      yAxis: upright(of.y, { type: "log", min: low, max: high, axisLabel: ends }),
      tooltip: {
        ...frame().tooltip,
        formatter: ({ data, seriesName }) =>
          `${data.of.name}\n${seriesName}\n${of.x}: ${shown(data.of.at[0])}\n${of.y}: ${shown(data.of.at[1])}`,
      },
      series: [
        ...regions.map((region, k) => ({
          type: "scatter", data: [], silent: true, name: `${region.name}: ${region.outcome}`,
          markArea: {
            silent: true,
            itemStyle: {
              color: colour(region.mild ? "series-3" : "series-2"), opacity: 0.1,
              borderColor: colour(region.mild ? "series-3" : "series-2"), borderWidth: 1,
            },
            label: { show: width > 520, position: "insideTopLeft", color: colour("soft"), fontSize: 10, offset: [0, 12 * k] },
            data: region.boxes.map(([x0, x1, y0, y1], n) => [
              { name: n ? "" : region.name, coord: [within(x0, left, right), within(y0, low, high)] },
              { coord: [within(x1, left, right), within(y1, low, high)] },
            ]),
          },
        })),
        ...Object.entries(of.statuses).map(([status, name]) => ({
          name, type: "scatter", symbol: LOOK[status][1], symbolSize: 10,
          itemStyle: { color: colour(LOOK[status][0]) },
          label: {
            show: true, formatter: ({ data }) => data.of.name, position: "right", color: colour("ink"), fontSize: 10,
          },
          data: of.chips.filter((c) => c.statuses[at] === status && c.name !== of.asked)
            .map((c) => ({ value: c.at, of: c, label: { show: Boolean(named.get(c.name)), position: named.get(c.name) ?? "right" } })),
        })),
        // The chip that is asked about is ringed, its name always there.
        ...of.chips.filter((c) => c.name === of.asked).map((c) => ({
          name: of.statuses[c.statuses[at]], type: "scatter", symbol: LOOK[c.statuses[at]][1], symbolSize: 17, z: 5,
          itemStyle: { color: colour(LOOK[c.statuses[at]][0]), borderColor: colour("ink"), borderWidth: 2 },
          label: {
            show: true, formatter: c.name, position: named.get(c.name), color: colour("ink"), fontSize: 13, fontWeight: "bold",
            backgroundColor: colour("ground"), padding: [1, 4], borderRadius: 3,
          },
          data: [{ value: c.at, of: c }],
        })),
      ],
    });
  };

  function move() {
    document.querySelectorAll("[data-chart=rules]").forEach((box) => {
      const of = JSON.parse(document.getElementById(`${box.id}-data`).textContent);
      const at = Number(slider().value);
      slider().setAttribute("aria-valuetext", of.days[at]);
      document.getElementById("day-shown").textContent = of.days[at];
      document.getElementById(`${box.id}-reading`).textContent = of.readings[at];
      window.chipwise.show(box);
    });
  }
  addEventListener("DOMContentLoaded", () => slider()?.addEventListener("input", move));
})();
