"""The decisions of auth_service: accounts, sign-ins, and what becomes of refresh tokens."""

from uuid import UUID

from auth_service.domain import api_key, attempt, erasing, security_event
from auth_service.domain import identity as identities
from auth_service.domain import session as sessions
from auth_service.domain import user as users
from auth_service.domain.api_key import ApiKey, CreateApiKey, KeyRing, RevokeApiKey, UseApiKey
from auth_service.domain.attempt import TakeBack, Tries, TryRegister, TrySignIn
from auth_service.domain.erasing import EraseUser, TellErasedAgain
from auth_service.domain.identity import Identity, SignInWith, TokenUsed
from auth_service.domain.security_event import NoteExport, NoteRefusal, SecurityEvent, What
from auth_service.domain.session import (
    EndSession,
    Family,
    RefreshToken,
    Rotate,
    Session,
    SessionUnknown,
    SignedIn,
    SignIns,
    StartSession,
)
from auth_service.domain.user import Asker, ChangePassword, EmailClaim, RegisterUser, UpdateUser, User, normalised
from chassis.decisions import Cause, Decision, Decisions, Key, State
from chassis.ids import typeid

decisions = Decisions("auth_service")


def _tries(tried: TrySignIn | TryRegister) -> tuple[Key, ...]:
    return tuple((Tries, key) for key in tried.keys)


def _known(state: State, tried: TrySignIn | TryRegister) -> attempt.Known:
    return tuple(state.find(Tries, key) for key in tried.keys)


def _present(by: Asker) -> tuple[Key, Key]:
    return (User, by.user_id), (Session, by.session_id)


def _asking(state: State, by: Asker) -> User:
    return sessions.present(state.find(User, by.user_id), state.find(Session, by.session_id))


@decisions.on(names=_tries)
def try_sign_in(state: State, command: TrySignIn, cause: Cause) -> Decision:
    return Decision(changes=attempt.count(_known(state, command), command, cause.now))


@decisions.on(names=_tries)
def try_register(state: State, command: TryRegister, cause: Cause) -> Decision:
    [known] = _known(state, command)
    return Decision(changes=(attempt.count_registration(known, command, cause.now),))


@decisions.on(names=lambda command: _tries(command.tried))
def take_back(state: State, command: TakeBack, cause: Cause) -> Decision:
    return Decision(changes=attempt.take_back(_known(state, command.tried), cause.now))


@decisions.on(names=lambda command: ((EmailClaim, normalised(command.email)),))
def register_user(state: State, command: RegisterUser, cause: Cause) -> Decision:
    known = state.find(EmailClaim, normalised(command.email))
    user, claim, events = users.register(known, command, user_id=cause.derive("user"), now=cause.now)
    noted = _noted(cause, What.REGISTERED, user.id, note=user.role)
    return Decision(changes=(user, claim, noted), events=events, sequence=user.version, reply=user)


@decisions.on(names=lambda command: ((User, command.user_id), *(_present(command.by) if command.by else ())))
def update_user(state: State, command: UpdateUser, cause: Cause) -> Decision:
    if command.by:
        users.administer(_asking(state, command.by), command)
    user = users.known(state.find(User, command.user_id))
    updated = users.update(user, command, now=cause.now)
    noted = [_noted(cause, what, updated.id, note=note) for what, note in security_event.of_account(user, updated)]
    changed = () if updated is user else (updated,)
    return Decision(changes=(*changed, *noted), sequence=updated.version, reply=updated)


@decisions.on(names=lambda command: ((User, command.user_id), *_present(command.by)))
def erase_user(state: State, command: EraseUser, cause: Cause) -> Decision:
    users.administer(_asking(state, command.by), UpdateUser(user_id=command.user_id, disabled=True))
    user, erasure, events = erasing.erase(users.known(state.find(User, command.user_id)), now=cause.now)
    noted = _noted(cause, What.ERASED, user.id)
    return Decision(changes=(user, erasure, noted), events=events, sequence=user.version)


@decisions.on(names=lambda command: ((User, command.user_id),))
def tell_erased_again(state: State, command: TellErasedAgain, cause: Cause) -> Decision:
    user, events = erasing.tell_again(state.find(User, command.user_id), now=cause.now)
    return Decision(changes=(user,) if user else (), events=events, sequence=user.version if user else 1)


@decisions.on(
    names=lambda command: (
        (User, command.user_id),
        (KeyRing, command.user_id),
        (Session, command.keep),
        *_tries(command.tried),
    )
)
def change_password(state: State, command: ChangePassword, cause: Cause) -> Decision:
    known = users.proven(state.find(User, command.user_id), command.proved)
    user = users.change_password(known, command, now=cause.now)
    kept = state.find(Session, command.keep)
    carried = () if kept is None else sessions.carry_along(kept, known, user)
    tries = attempt.succeed(_known(state, command.tried), command.tried, cause.now)
    ended, note = api_key.end_all(None if command.keep_api_keys else state.find(KeyRing, user.id))
    noted = _noted(cause, What.PASSWORD_CHANGED, user.id, command.tried.place, note)
    return Decision(changes=(user, *carried, *ended, *tries, noted), sequence=user.version, reply=user)


@decisions.on(names=lambda command: ((User, command.user_id), (SignIns, command.user_id), *_tries(command.tried)))
def start_session(state: State, command: StartSession, cause: Cause) -> Decision:
    user = users.proven(state.find(User, command.user_id), command.proved)
    counted = sessions.count(state.find(SignIns, user.id), user, now=cause.now)
    session, tokens = sessions.start(user, command, session_id=cause.derive("session"), now=cause.now)
    tries = attempt.succeed(_known(state, command.tried), command.tried, cause.now)
    noted = _signed_in(cause, session, command.tried.place)
    return Decision(changes=(session, *tokens, counted, *tries, noted), reply=SignedIn(user, session))


@decisions.on(
    names=lambda command: (
        (Identity, (command.issuer, command.subject)),
        (Session, command.session_id),
        *(((EmailClaim, command.email),) if command.email else ()),
    )
)
def sign_in_with(state: State, command: SignInWith, cause: Cause) -> Decision:
    if state.find(Session, command.session_id) is not None:
        raise TokenUsed
    known = state.find(Identity, (command.issuer, command.subject))
    if known is not None:
        user = identities.recognise(state.find(User, known.user_id))
        counted = sessions.count(state.find(SignIns, user.id), user, now=cause.now)
        session, tokens = sessions.start(user, command, session_id=command.session_id, now=cause.now)
        noted = _signed_in(cause, session, command.place)
        return Decision(changes=(session, *tokens, counted, noted), reply=SignedIn(user, session))
    claim = state.find(EmailClaim, command.email) if command.email else None
    user, made, events = identities.welcome(claim, command, user_id=cause.derive("user"), now=cause.now)
    session, tokens = sessions.start(user, command, session_id=command.session_id, now=cause.now)
    noted = _noted(cause, What.REGISTERED, user.id, note=user.role)
    counted = sessions.count(None, user, now=cause.now)
    changes = (user, *made, session, *tokens, counted, noted, _signed_in(cause, session, command.place))
    return Decision(changes=changes, events=events, sequence=user.version, reply=SignedIn(user, session))


@decisions.on(
    names=lambda command: (
        (User, command.user_id),
        (Session, command.session_id),
        (RefreshToken, command.digest),
    )
)
def rotate(state: State, command: Rotate, cause: Cause) -> Decision:
    user = state.find(User, command.user_id)
    session = state.find(Session, command.session_id)
    shown = state.find(RefreshToken, command.digest)
    active = None if session is None else state.find(RefreshToken, session.current)
    family, signed_in = sessions.rotate(user, session, shown, active, command, now=cause.now)
    return Decision(changes=(*_flat(family), *_ended(cause, session, family[0])), reply=signed_in)


@decisions.on(names=lambda command: ((Session, command.session_id),))
def end_session(state: State, command: EndSession, cause: Cause) -> Decision:
    session = state.find(Session, command.session_id)
    if session is None or session.user_id != command.user_id:
        raise SessionUnknown
    active = state.find(RefreshToken, session.current)
    family = sessions.end(session, active, command.ending, now=cause.now)
    return Decision(changes=(*_flat(family), *_ended(cause, session, family[0])))


@decisions.on(names=lambda command: (*_present(command.by), (KeyRing, command.by.user_id)))
def create_api_key(state: State, command: CreateApiKey, cause: Cause) -> Decision:
    user, ring = _asking(state, command.by), state.find(KeyRing, command.by.user_id)
    key, counted = api_key.create(user, ring, command, key_id=cause.derive("key"), now=cause.now)
    noted = _noted(cause, What.API_KEY_CREATED, key.user_id, note=f"{typeid('key', key.id)}: {' '.join(key.scopes)}")
    return Decision(changes=(key, counted, noted), reply=key)


@decisions.on(names=lambda command: ((ApiKey, command.digest),))
def use_api_key(state: State, command: UseApiKey, cause: Cause) -> Decision:
    known = state.find(ApiKey, command.digest)
    user = None if known is None else state.find(User, known.user_id)
    key = api_key.use(known, user, now=cause.now)
    return Decision(changes=() if key is known else (key,), reply=(key, user))


@decisions.on(names=lambda command: ((ApiKey, command.digest),))
def revoke_api_key(state: State, command: RevokeApiKey, cause: Cause) -> Decision:
    key = api_key.revoke(state.find(ApiKey, command.digest), command, now=cause.now)
    return Decision(changes=(key, _noted(cause, What.API_KEY_REVOKED, key.user_id, note=typeid("key", key.id))))


@decisions.on(names=lambda _command: ())
def note_refusal(_state: State, command: NoteRefusal, cause: Cause) -> Decision:
    return Decision(changes=(_noted(cause, What.REFUSED, command.user_id, command.place, command.why),))


@decisions.on(names=lambda _command: ())
def note_export(_state: State, command: NoteExport, cause: Cause) -> Decision:
    return Decision(changes=(_noted(cause, What.EXPORTED, command.user_id),))


def _flat(family: Family) -> tuple[Session | RefreshToken, ...]:
    return family[0], *family[1]


def _signed_in(cause: Cause, session: Session, place: bytes) -> SecurityEvent:
    return _noted(cause, What.SIGNED_IN, session.user_id, place, typeid("ses", session.id))


def _ended(cause: Cause, before: Session | None, after: Session) -> tuple[SecurityEvent, ...]:
    note = typeid("ses", after.id)
    return tuple(_noted(cause, what, after.user_id, note=note) for what in security_event.of_session(before, after))


def _noted(cause: Cause, what: What, user_id: UUID | None, place: bytes | None = None, note: str = "") -> SecurityEvent:
    return SecurityEvent(
        id=cause.derive(what),
        what=what,
        user_id=user_id,
        actor=cause.actor,
        place=place,
        note=note,
        request_id=cause.correlation_id,
        created_at=cause.now,
    )
