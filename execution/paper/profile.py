"""Profiles: how a broker sets up an account and its symbols, so that the paper terminal does alike.

A profile is a JSON file that ``mt5dash doctor --save-profile`` or ``agent.py --save-profile`` writes
from a real terminal's ``account_info``, ``terminal_info`` and ``symbols_get``; some of public
knowledge ship with the program. It holds no name, no password and no money.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import msgspec

from ..api import constants as mt5
from ..api.call_forms import NAME_LIMIT, utf16_length
from ..api.oddity import oddity
from .account.ledger import AccountConfig
from .account.money import CENTS, calculable
from .market import calibration
from .market.model import MarketError
from .market.sessions import Session
from .market.symbols import SPECS, Spec

VERSION = 1
SHIPPED = Path(__file__).parent / "profiles"
MAX_BYTES = 64 * 1024 * 1024


class AccountProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What ``account_info`` says of how the account is set up. The last three are not in it:
    a file may add them by hand."""

    login: int = 5_012_345
    server: str = "mt5dash-Paper"
    company: str = "mt5dash"
    currency: str = "USD"
    currency_digits: int = 2
    leverage: int = 500
    margin_mode: int = mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
    margin_so_mode: int = mt5.ACCOUNT_STOPOUT_MODE_PERCENT
    margin_so_call: float = 50.0
    margin_so_so: float = 30.0
    limit_orders: int = 200
    fifo_close: bool = False
    balance: float = 10_000.0
    commission_per_lot: float = 0.0
    utc_offset_h: float = 0.0


class TerminalProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What ``terminal_info`` says of the terminal."""

    build: int = 0
    maxbars: int = 0


class SymbolProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What ``symbols_get`` says of one symbol; prices are those at the time of saving.

    ``session`` (fx, metal, crypto), ``price`` (what a generated price follows) and ``commissioned``
    are not in it: a file may add them by hand.
    """

    name: str
    path: str = ""
    description: str = ""
    visible: bool = True
    digits: int
    point: float
    bid: float = 0.0
    ask: float = 0.0
    spread: int = 0
    chart_mode: int = mt5.SYMBOL_CHART_MODE_BID
    trade_calc_mode: int = mt5.SYMBOL_CALC_MODE_FOREX
    trade_mode: int = mt5.SYMBOL_TRADE_MODE_FULL
    trade_exemode: int = mt5.SYMBOL_TRADE_EXECUTION_MARKET
    filling_mode: int = 3
    expiration_mode: int = 15
    order_mode: int = 127
    order_gtc_mode: int = mt5.SYMBOL_ORDERS_GTC
    trade_stops_level: int = 0
    trade_freeze_level: int = 0
    trade_contract_size: float = 100_000.0
    trade_tick_size: float = 0.0
    trade_tick_value: float = 0.0
    trade_face_value: float = 0.0
    trade_liquidity_rate: float = 0.0
    volume_min: float = 0.01
    volume_max: float = 100.0
    volume_step: float = 0.01
    volume_limit: float = 0.0
    margin_initial: float = 0.0
    margin_maintenance: float = 0.0
    margin_hedged: float = 0.0
    margin_hedged_use_leg: bool = False
    swap_mode: int = mt5.SYMBOL_SWAP_MODE_POINTS
    swap_long: float = 0.0
    swap_short: float = 0.0
    swap_rollover3days: int = mt5.DAY_OF_WEEK_WEDNESDAY
    currency_base: str = ""
    currency_profit: str = ""
    currency_margin: str = ""
    session: str = ""
    price: str = ""
    commissioned: bool = True


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a profile file. A symbol that cannot be decoded costs only itself."""

    profile: int
    about: str = ""
    account: AccountProfile = AccountProfile()
    terminal: TerminalProfile = TerminalProfile()
    symbols: list[msgspec.Raw] = []


class Broker:
    """A profile as the paper terminal uses it: an account, symbols, and what was left out."""

    def __init__(self, profile: Profile, source: Path) -> None:
        self.about = profile.about
        self.profile = profile.account
        self.terminal = profile.terminal
        self.specs: list[Spec] = []
        self.visible: set[str] = set()
        self.left_out: list[str] = []
        """Symbols without a row, each with the reason."""
        for number, raw in enumerate(profile.symbols, 1):
            try:
                symbol = msgspec.json.decode(raw, type=SymbolProfile, strict=False)
            except msgspec.DecodeError as error:
                self.left_out.append(f"symbol {number}: {error}")
                continue
            self._take(symbol)
        self._convertible()
        if not self.specs:
            first = f": {self.left_out[0]}" if self.left_out else ""
            raise MarketError(f"has no usable symbol{first}", file=source, do=WRITE_ONE)

    def _take(self, symbol: SymbolProfile) -> None:
        reason = _refusal(symbol, {spec.name for spec in self.specs})
        if reason is not None:
            self.left_out.append(f"{symbol.name or '(no name)'}: {reason}")
            return
        self.specs.append(spec_of(symbol, self.profile.currency))
        if symbol.visible:
            self.visible.add(symbol.name)

    def _convertible(self) -> None:
        """Leave out symbols whose money cannot become the account's."""
        for spec in list(self.specs):
            for currency in (spec.profit, spec.margin):
                if bridges(self.specs, currency, self.profile.currency) is None:
                    self.specs.remove(spec)
                    self.visible.discard(spec.name)
                    self.left_out.append(
                        f"{spec.name}: no symbol converts {currency} to {self.profile.currency}"
                    )
                    break

    def quoted(self) -> set[str]:
        """Symbols that have ticks from the start: Market Watch, and what converts its money."""
        wanted = {spec.name for spec in self.specs if spec.name in self.visible}
        for spec in self.specs:
            if spec.name in self.visible:
                for currency in (spec.profit, spec.margin):
                    wanted |= {
                        each.name
                        for each in bridges(self.specs, currency, self.profile.currency) or ()
                    }
        return wanted

    def account(self) -> AccountConfig:
        """The account; its money is a paper account's, and so is its kind (demo)."""
        given = self.profile
        return AccountConfig(
            login=given.login,
            server=given.server,
            company=given.company,
            currency=given.currency,
            digits=given.currency_digits,
            balance=given.balance,
            leverage=given.leverage,
            margin_mode=given.margin_mode,
            commission=given.commission_per_lot,
            so_mode=given.margin_so_mode,
            margin_call=given.margin_so_call,
            stop_out=given.margin_so_so,
            limit_orders=given.limit_orders or 200,
            fifo_close=given.fifo_close,
        )


WRITE_ONE = (
    "Write one with `mt5dash doctor --save-profile FILE`, or name a shipped one: "
    f"{', '.join(sorted(path.stem for path in SHIPPED.glob('*.json')))}"
)


def find(like: str) -> Path:
    """The file that ``paper.like`` names: a path, or the name of a shipped profile."""
    shipped = SHIPPED / f"{like}.json"
    return shipped if "/" not in like and "\\" not in like and shipped.is_file() else Path(like)


def load(like: str) -> Broker:
    """Read a profile.

    Raises:
        MarketError: it cannot be read, or has nothing usable; the text says what to do.
    """
    path = find(like)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise MarketError("is too large for a profile", file=path, do=WRITE_ONE)
        profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    except (OSError, msgspec.DecodeError) as error:
        what = getattr(error, "strerror", None) or error
        raise MarketError(f"is no profile: {what}", file=path, do=WRITE_ONE) from error
    if profile.profile != VERSION:
        raise MarketError(
            f"is a profile of version {profile.profile}, this is version {VERSION}",
            file=path,
            do=WRITE_ONE,
        )
    if not 3 <= len(profile.account.currency) <= 8 or profile.account.leverage < 1:
        raise MarketError("has no usable account currency or leverage", file=path, do=WRITE_ONE)
    return Broker(profile, path)


def bridges(specs: Iterable[Spec], currency: str, deposit: str) -> list[Spec] | None:
    """The symbols that convert a currency to the deposit's; empty when it is the same one, None
    when there are none."""
    if currency == deposit:
        return []
    deposit = CENTS.get(deposit, deposit)
    if currency == deposit:
        return []
    pairs = {
        frozenset((spec.base, spec.profit)): spec for spec in specs if spec.base != spec.profit
    }
    direct = pairs.get(frozenset((currency, deposit)))
    if direct is not None:
        return [direct]
    over = [pairs.get(frozenset((each, "USD"))) for each in (currency, deposit) if each != "USD"]
    return None if None in over else [each for each in over if each is not None]


def _refusal(symbol: SymbolProfile, known: set[str]) -> str | None:
    """Why a symbol has no row, in words."""
    if not symbol.name or utf16_length(symbol.name) > NAME_LIMIT:
        return (
            f"its name has {utf16_length(symbol.name)} characters, 1 to {NAME_LIMIT} are possible"
        )
    if symbol.name in known:
        return "it is there twice"
    reason = oddity(symbol)
    if reason is not None:
        return reason
    if symbol.session and symbol.session not in get_args(Session):
        return f"session {symbol.session} is not one of {', '.join(get_args(Session))}"
    spec = spec_of(symbol, "USD")
    if not calculable(spec):
        return f"trade_calc_mode {symbol.trade_calc_mode} cannot be computed"
    if not (symbol.bid > 0 or _has_price(spec)):
        return "it has no price, and none is known for it"
    return None


def _has_price(spec: Spec) -> bool:
    known = {*calibration.DRIVERS, *calibration.FOLLOWERS}
    if spec.price or spec.base == spec.profit:
        return spec.price_name in known
    return all(
        currency == "USD" or known & {currency + "USD", "USD" + currency}
        for currency in (spec.base, spec.profit)
    )


def spec_of(symbol: SymbolProfile, deposit: str) -> Spec:
    """A symbol as the paper market has it."""
    base = symbol.currency_base or symbol.currency_profit
    forex = symbol.trade_calc_mode in (
        mt5.SYMBOL_CALC_MODE_FOREX,
        mt5.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE,
    )
    price = symbol.price or _price_of(symbol.name)
    if not price and (base == symbol.currency_profit or not (forex or _is_pair(base))):
        price = _plain(symbol.name)
    middle = (symbol.bid + symbol.ask) / 2 if symbol.bid > 0 and symbol.ask > 0 else symbol.bid
    step = symbol.point if symbol.trade_tick_size <= 0 else symbol.trade_tick_size
    # A terminal gives the tick's value in the account's currency; the paper one converts it.
    value = symbol.trade_tick_value
    if symbol.currency_profit != deposit or value <= 0:
        value = symbol.trade_contract_size * step
    return Spec(
        name=symbol.name,
        base=base,
        profit=symbol.currency_profit,
        margin=symbol.currency_margin,
        digits=symbol.digits,
        contract=symbol.trade_contract_size,
        description=symbol.description,
        path=symbol.path or symbol.name,
        session=_session_of(symbol, base, price),
        calc_mode=symbol.trade_calc_mode,
        exemode=symbol.trade_exemode,
        trade_mode=symbol.trade_mode,
        chart_mode=symbol.chart_mode,
        filling_mode=symbol.filling_mode,
        expiration_mode=symbol.expiration_mode,
        order_mode=symbol.order_mode,
        gtc_mode=symbol.order_gtc_mode,
        stops_level=max(symbol.trade_stops_level, 0),
        freeze_level=max(symbol.trade_freeze_level, 0),
        volume_min=symbol.volume_min,
        volume_max=symbol.volume_max,
        volume_step=symbol.volume_step,
        volume_limit=max(symbol.volume_limit, 0.0),
        tick_size=0.0 if math.isclose(step, 10.0**-symbol.digits) else step,
        tick_value=value,
        margin_initial=symbol.margin_initial,
        margin_maintenance=symbol.margin_maintenance,
        margin_hedged=symbol.margin_hedged,
        hedged_use_leg=symbol.margin_hedged_use_leg,
        face_value=symbol.trade_face_value,
        liquidity_rate=symbol.trade_liquidity_rate,
        swap_mode=symbol.swap_mode,
        swap_long=symbol.swap_long,
        swap_short=symbol.swap_short,
        swap_3days=symbol.swap_rollover3days,
        commissioned=symbol.commissioned,
        price=price,
        reference=middle,
        spread=float(max(symbol.spread, 0)),
    )


def _is_pair(base: str) -> bool:
    """Is this the base of a price that is known by its pair (XAU, BTC)?"""
    return any(base + "USD" == name for name in (*calibration.DRIVERS, *calibration.FOLLOWERS))


def _plain(name: str) -> str:
    """A symbol's name without what brokers put around it."""
    return "".join(char for char in name.split(".")[0] if char.isalnum()).upper() or name.upper()


def _price_of(name: str) -> str:
    """The price that a symbol's name is known for, empty when it is not."""
    plain = "".join(char for char in name if char.isalnum()).upper()
    for price, names in calibration.ALIASES.items():
        if any(plain.startswith(each) for each in names):
            return price
    return ""


def _session_of(symbol: SymbolProfile, base: str, price: str) -> Session:
    if symbol.session:
        session: Session = symbol.session  # type: ignore[assignment]
        return session
    for name in (price, base + "USD"):
        if name in SPECS:
            return SPECS[name].session
        if name in calibration.FOLLOWERS:
            return calibration.FOLLOWERS[name].session
    if "crypto" in symbol.path.lower():
        return "crypto"
    return "metal" if price else "fx"
