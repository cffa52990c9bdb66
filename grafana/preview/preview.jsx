// Draws one committed dashboard with Grafana's component library, over a real Prometheus.
//
// Real: TimeSeries, BigValue, Table, PanelChrome, value formats, thresholds, mappings. Drawn here
// as Grafana would: state timelines and bar gauges. Left out: annotations, controls, tooltips.
import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  FieldType, ThemeContext, createTheme, dateTime, getDisplayProcessor,
  getDisplayValueAlignmentFactors, getFieldDisplayName, stringToJsRegex, toDataFrame,
} from '@grafana/data';
import {
  BigValue, BigValueColorMode, BigValueGraphMode, BigValueTextMode, GlobalStyles, PanelChrome, Table,
  TimeSeries,
} from '@grafana/ui';

const COLUMN = 66, UNIT = 30, GAP = 8;
const theme = createTheme({ colors: { mode: 'dark' } });
const asked = new URLSearchParams(location.search);
const until = Number(asked.get('until')), seconds = Number(asked.get('seconds'));
Date.now = () => until * 1000; // "2 minutes ago" is meant of the picture, not of its making
const scrape = Number(asked.get('scrape'));
const least = (panel) => (panel.interval === '1m' ? 60 : scrape);
const stepOf = (panel) => Math.max(least(panel), Math.ceil(seconds / (panel.maxDataPoints ?? 360)));

const whole = (expr, step) => expr
  .replaceAll('$__rate_interval', `${Math.max(4 * scrape, step + scrape)}s`)
  .replaceAll('$__interval', `${step}s`).replaceAll('$__range', `${seconds}s`)
  .replace(/\$[a-z]+/g, '.*');

// As Grafana: a range begins at a multiple of the step.
async function answer(target, step) {
  const range = target.instant
    ? { time: until } : { start: Math.floor((until - seconds) / step) * step, end: Math.floor(until / step) * step, step };
  const body = new URLSearchParams({ query: whole(target.expr, step), ...range });
  const got = await fetch(`/api/v1/query${target.instant ? '' : '_range'}`, { method: 'POST', body });
  const { data, error } = await got.json();
  if (error) throw new Error(error);
  return data.result.map(({ metric, value, values }) => ({ metric, values: values ?? [value] }));
}

const named = (legend, metric) =>
  legend ? legend.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '') : undefined;

// Without its interval a gap would be drawn over.
const frameOf = (target, step) => ({ metric, values }) => toDataFrame({
  refId: target.refId,
  fields: [
    { name: 'Time', type: FieldType.time, values: values.map(([at]) => at * 1000),
      config: { interval: step * 1000 } },
    {
      name: 'Value', type: FieldType.number, labels: metric,
      values: values.map(([, value]) => Number(value)),
      config: { displayNameFromDS: named(target.legendFormat, metric) || target.expr },
    },
  ],
});

// As Grafana's `merge` and `organize`: one row for each set of labels.
function tableOf(panel, answers) {
  const rows = new Map(), many = panel.targets.length > 1;
  panel.targets.forEach((target, place) => answers[place].forEach(({ metric, values }) => {
    values.forEach(([at, value]) => {
      const { __name__, ...labels } = metric;
      const key = JSON.stringify(target.instant ? labels : [labels, at]);
      const number = Number(value);
      const fields = { ...labels, Time: at * 1000, [many ? `Value #${target.refId}` : 'Value']: number };
      rows.set(key, { ...rows.get(key), ...fields });
    });
  }));
  // A narrower answer belongs to each row that has its labels.
  const all = [...rows.values()];
  const widest = Math.max(0, ...all.map((row) => Object.keys(row).filter((k) => !/^(Time|Value)/.test(k)).length));
  const labelsOf = (row) => Object.entries(row).filter(([k]) => !/^(Time|Value)/.test(k));
  const wide = all.filter((row) => labelsOf(row).length === widest).map((row) => all.reduce(
    (sum, other) => labelsOf(other).every(([k, v]) => row[k] === v) ? { ...other, ...sum } : sum, row));
  const { renameByName, indexByName } = panel.transformations.find((t) => t.id === 'organize').options;
  const order = Object.keys(renameByName).sort((a, b) => indexByName[a] - indexByName[b]);
  const names = Object.fromEntries(order.map((key) => [key, renameByName[key]]));
  const [by] = panel.options?.sortBy ?? [];
  const field = Object.keys(names).find((key) => names[key] === by?.displayName);
  if (field) wide.sort((a, b) => ((a[field] ?? -Infinity) > (b[field] ?? -Infinity) ? 1 : -1) * (by.desc ? -1 : 1));
  return toDataFrame({
    fields: Object.entries(names).map(([key, name]) => ({
      name, values: wide.map((row) => row[key] ?? null),
      type: key === 'Time' ? FieldType.time : key.startsWith('Value') ? FieldType.number : FieldType.string,
    })),
  });
}

const MATCHES = {
  byName: (wanted, name) => wanted === name,
  byRegexp: (wanted, name) => stringToJsRegex(wanted).test(name),
  byFrameRefID: (wanted, _, frame) => wanted === frame.refId,
};
const COLOURS = { timeseries: 'palette-classic' };
function configured(panel, frames) {
  const { defaults, overrides } = panel.fieldConfig;
  let index = 0;
  for (const frame of frames) for (const field of frame.fields) {
    const own = frame.fields.length > 2 ? field.name : getFieldDisplayName(field, frame, frames);
    const text = field.type === FieldType.string;
    field.config = {
      ...(text || field.type === FieldType.time ? {} : defaults), ...field.config,
      color: { mode: COLOURS[panel.type] ?? 'thresholds' },
      custom: { lineWidth: 1, spanNulls: false, showPoints: 'never', axisPlacement: 'auto',
        scaleDistribution: { type: 'linear' }, hideFrom: {}, ...(defaults.custom ?? {}) },
    };
    for (const { matcher, properties } of overrides ?? [])
      if (MATCHES[matcher.id](matcher.options, own, frame)) for (const { id, value } of properties)
        if (id.startsWith('custom.')) field.config.custom[id.slice(7)] = value;
        else field.config[id] = value;
    if (field.type === FieldType.number) field.state = { seriesIndex: index++ };
    field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
  }
  return frames;
}

const last = (frame) => {
  const field = frame.fields[1], value = field.values[field.values.length - 1];
  return { ...field.display(value), title: getFieldDisplayName(field, frame), numeric: value, field };
};

function Stats({ panel, frames, width, height }) {
  if (!frames.length) return <Nothing panel={panel} />;
  const side = width / frames.length, name = panel.options.textMode === 'name';
  const alike = getDisplayValueAlignmentFactors(frames.map((frame) => ({ display: last(frame) })));
  return <div style={{ display: 'flex' }}>{frames.map((frame, i) => {
    const value = last(frame);
    const shown = name ? { text: value.title, color: value.color, numeric: value.numeric } :
      { ...value, title: frames.length > 1 ? value.title : undefined };
    return <BigValue key={i} width={side} height={height} value={shown} theme={theme} alignmentFactors={alike}
      colorMode={BigValueColorMode.Background} graphMode={BigValueGraphMode.None}
      textMode={frames.length > 1 ? BigValueTextMode.ValueAndName : BigValueTextMode.Value} />;
  })}</div>;
}

function Gauges({ panel, frames, width, height }) {
  if (!frames.length) return <Nothing panel={panel} />;
  const tall = Math.min(34, height / frames.length);
  return frames.map((frame, i) => {
    const { text, suffix, color, title, numeric, field } = last(frame);
    const top = field.config.max ?? Math.max(...frames.map((f) => last(f).numeric), 1e-9);
    return <div key={i} style={{ height: tall, display: 'flex', alignItems: 'center', gap: 6, fontSize: 12 }}>
      <span style={{ width: width * 0.34, overflow: 'hidden', whiteSpace: 'nowrap' }}>{title}</span>
      <span style={{ flex: 1, height: tall * 0.6, background: theme.colors.background.secondary }}>
        <span style={{ display: 'block', height: '100%', width: `${100 * Math.min(1, numeric / top)}%`, background: color }} />
      </span>
      <span style={{ width: 62, color, textAlign: 'right' }}>{text}{suffix}</span>
    </div>;
  });
}

const pen = document.createElement('canvas').getContext('2d');
function wide(text) {
  pen.font = '12px Inter,Helvetica,Arial,sans-serif';
  return pen.measureText(text).width;
}

function States({ panel, frames, width, height }) {
  if (!frames.length) return <Nothing panel={panel} />;
  const tall = Math.min(30, (height - 18) / frames.length);
  const side = Math.max(...frames.map((frame) => wide(getFieldDisplayName(frame.fields[1], frame)))) + 8;
  const step = stepOf(panel);
  const at = (time) => `${100 * (time / 1000 - until + seconds) / seconds}%`;
  return <>{frames.map((frame, i) => {
    const [times, field] = frame.fields;
    const spans = [];
    times.values.forEach((time, k) => {
      const { color } = field.display(field.values[k]), open = spans[spans.length - 1];
      if (open && open.color === color && time - open.end <= step * 1500) open.end = time;
      else spans.push({ begin: time, end: time, color });
    });
    return <div key={i} style={{ height: tall, display: 'flex', alignItems: 'center', fontSize: Math.min(12, tall) }}>
      <span style={{ width: side, flexShrink: 0, overflow: 'hidden', whiteSpace: 'nowrap' }}>{getFieldDisplayName(field, frame)}</span>
      <span style={{ flex: 1, height: tall * 0.85, position: 'relative' }}>{spans.map((span, k) =>
        <i key={k} style={{ position: 'absolute', left: at(span.begin), height: '100%', background: span.color,
          width: `${100 * (span.end - span.begin + step * 1000) / 1000 / seconds}%` }} />)}</span>
    </div>;
  })}
    <div style={{ marginLeft: side, display: 'flex', justifyContent: 'space-between', fontSize: 11, opacity: 0.7 }}>
      {[0, 0.25, 0.5, 0.75, 1].map((part) => <span key={part}>{clock(until - seconds * (1 - part))}</span>)}
    </div></>;
}

const clock = (at) => new Date(at * 1000).toISOString().slice(11, 16);

function Lines({ panel, frames, width, height }) {
  if (!frames.length) return <Nothing panel={panel} />;
  const range = { from: dateTime((until - seconds) * 1000), to: dateTime(until * 1000) };
  return <TimeSeries frames={frames} width={width} height={height} timeZone="utc"
    timeRange={{ ...range, raw: range }} structureRev={1}
    legend={{ displayMode: 'list', placement: 'bottom', calcs: [], showLegend: true }} />;
}

const Nothing = ({ panel }) =>
  <div style={{ padding: 12, opacity: 0.6 }}>{panel.fieldConfig.defaults.noValue ?? 'No data'}</div>;
const Rows = ({ panel, frames, width, height }) =>
  frames[0].length ? <Table data={frames[0]} width={width} height={height} cellHeight="sm" /> : <Nothing panel={panel} />;

const KINDS = { stat: Stats, bargauge: Gauges, 'state-timeline': States, timeseries: Lines, table: Rows };

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  render() { return this.state.error ? <pre>{String(this.state.error)}</pre> : this.props.children; }
}

function Panel({ panel, answers }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: x * COLUMN, top: y * UNIT };
  if (panel.type === 'row') return <h4 style={{ ...place, margin: 0, paddingTop: 4, fontSize: 14 }}>{panel.title}</h4>;
  const frames = configured(panel, panel.type === 'table'
    ? [tableOf(panel, answers)] : panel.targets.flatMap((t, i) => answers[i].map(frameOf(t, stepOf(panel)))));
  const Kind = KINDS[panel.type];
  return <div style={place}>
    <PanelChrome width={w * COLUMN - GAP} height={h * UNIT - GAP} title={panel.title} description={panel.description}>
      {(width, height) => <Guard><Kind {...{ panel, frames, width, height }} /></Guard>}
    </PanelChrome>
  </div>;
}

async function main() {
  const board = await (await fetch('/board.json')).json();
  const answers = new Map();
  for (const panel of board.panels.filter((p) => p.type !== 'row'))
    answers.set(panel.id, await Promise.all(panel.targets.map((target) => answer(target, stepOf(panel)))));
  document.body.style.cssText = `margin:0;background:${theme.colors.background.canvas};color:${theme.colors.text.primary};font:14px Inter,Helvetica,Arial,sans-serif`;
  createRoot(document.getElementById('board')).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles hackNoBackdropBlur={false} isExtensionSidebarOpen={false} />
      <div style={{ padding: '8px 8px 0' }}><b>{board.title}</b> <span style={{ opacity: 0.7 }}>
        {board.description} Drawn by grafana/preview with Grafana's component library; not Grafana.</span></div>
      <div style={{ position: 'relative', margin: 8 }}>{board.panels.map((panel) =>
        <Panel key={panel.id} panel={panel} answers={answers.get(panel.id)} />)}</div>
    </ThemeContext.Provider>);
}

main().catch((error) => { document.body.textContent = String(error.stack); });
