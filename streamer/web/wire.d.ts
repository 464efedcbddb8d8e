// Generated from streamer/protocol: python -m streamer.protocol.wire_types
// Any field of a foreign publisher can be missing, null or of another type.

/** The account. ``day_pl`` is realised since server midnight plus floating. */
export interface Account {
  balance?: number | null;
  equity?: number | null;
  profit?: number | null;
  currency?: string | null;
  leverage?: number | null;
  day_pl?: number | null;
  margin?: number | null;
  margin_free?: number | null;
  margin_level?: number | null;
  login?: number | null;
  server?: string | null;
  name?: string | null;
  trade_allowed?: boolean | null;
  drawdown_pct?: number | null;
  mode?: string | null;
  margin_mode?: string | null;
  limits?: Record<string, Limit> | null;
}

/** How one bot of a feed is, in a heartbeat. */
export interface BotPulse {
  data_age_s?: number | null;
  heard_s?: number | null;
  terminal?: string | null;
  lost?: string | null;
}

export interface BotStatus {
  state?: string | null;
  reason?: Reason | null;
  strategy?: string | null;
  mode?: string | null;
  next_scan_at?: string | null;
  gates?: Record<string, number> | null;
  cycle_s?: number | null;
  risk?: RiskMemory | null;
  timestamp?: string | null;
  seq?: number | null;
  bot?: string | null;
  origin?: string | null;
  via?: string | null;
}

/** The equity curve: ``time`` in epoch seconds, ``value`` in account currency, oldest first, */
export interface Curve {
  time?: number[] | null;
  value?: number[] | null;
}

export interface Heartbeat {
  seq?: number | null;
  epoch?: string | null;
  sent?: number | null;
  clients?: number | null;
  loop_lag_ms?: number | null;
  terminal?: string | null;
  data_age_s?: number | null;
  journal?: string | null;
  bots?: Record<string, BotPulse> | null;
  timestamp?: string | null;
  bot?: string | null;
  origin?: string | null;
  via?: string | null;
}

/** A risk limit: ``value`` now, ``limit`` where trading stops, both in ``unit``. */
export interface Limit {
  value?: number | null;
  limit?: number | null;
  unit?: string | null;
  left?: number | null;
}

/** One pending order. */
export interface PendingOrder {
  order?: number | null;
  symbol?: string | null;
  direction?: string | null;
  kind?: string | null;
  volume?: number | null;
  price?: number | null;
  stop_limit?: number | null;
  price_current?: number | null;
  sl?: number | null;
  tp?: number | null;
  placed_at?: string | null;
  expires_at?: string | null;
  magic?: number | null;
  comment?: string | null;
  digits?: number | null;
  owner?: string | null;
}

/** One open position. ``sl_price`` and ``tp_price`` are 0.0 when there is none. */
export interface Position {
  ticket?: number | null;
  symbol?: string | null;
  type?: number | null;
  direction?: string | null;
  volume?: number | null;
  entry_price?: number | null;
  price_current?: number | null;
  sl_price?: number | null;
  tp_price?: number | null;
  profit?: number | null;
  swap?: number | null;
  commission?: number | null;
  opened_at?: string | null;
  magic?: number | null;
  comment?: string | null;
  digits?: number | null;
  owner?: string | null;
  risk?: number | null;
  initial_risk?: number | null;
}

/** Last known prices of a symbol; ``None`` where a price is not known. */
export interface Quote {
  bid?: number | null;
  ask?: number | null;
  time?: string | null;
  digits?: number | null;
}

/** A machine-readable code beside words for people. */
export interface Reason {
  code?: string | null;
  text?: string | null;
}

/** What a restart must not forget of the risk limits, for one account. Money in account */
export interface RiskMemory {
  login?: number | null;
  server?: string | null;
  peak_equity?: number | null;
  base_equity?: number | null;
  drawdown_hit?: boolean | null;
  loss_day?: number | null;
  forgiven?: number | null;
}

/** The last scan, as a snapshot holds it: by symbol the sentence and the numbers. */
export interface Scan {
  symbols?: Record<string, string> | null;
  timestamp?: string | null;
  count?: number | null;
  candidates?: number | null;
  details?: Record<string, ScanDetail> | null;
}

/** Why a symbol does or does not trade, in numbers. ``gate`` names the gate that stopped it. */
export interface ScanDetail {
  code?: string | null;
  direction?: string | null;
  score?: number | null;
  gate?: string | null;
  spread?: number | null;
  atr?: number | null;
  regime?: string | null;
  age_s?: number | null;
  components?: Record<string, number> | null;
  need?: number | null;
  entry?: number | null;
  sl?: number | null;
  tp?: number | null;
  r?: number | null;
  evidence?: Record<string, number> | null;
}

export interface TerminalStatus {
  state?: string | null;
  backend?: string | null;
  last_error?: Reason | null;
  ping_ms?: number | null;
  since?: string | null;
  market?: string | null;
  timestamp?: string | null;
  seq?: number | null;
  bot?: string | null;
  origin?: string | null;
  via?: string | null;
}

/** A deal opened or enlarged a position. */
export interface TradeExecution {
  symbol?: string | null;
  direction?: string | null;
  price?: number | null;
  lot?: number | null;
  ticket?: number | null;
  order?: number | null;
  deal?: number | null;
  sl?: number | null;
  tp?: number | null;
  score?: number | null;
  slippage?: number | null;
  owner?: string | null;
  timestamp?: string | null;
  seq?: number | null;
  bot?: string | null;
  origin?: string | null;
  via?: string | null;
}
