-- Instants are microseconds since the Unix epoch, UTC (names end in _us).
-- Tables are ours to change; the views at the end are what people query.
-- Foreign keys are looked at when a transaction ends: were it after each statement, SQLite
-- would keep a copy of every page that the statement changes.

-- One row: the ledger as a whole.
CREATE TABLE ledger (
    id            INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    created_us    INTEGER NOT NULL,
    -- The sequence that the next new event gets. Never goes back, so that pruning
    -- everything does not bring a sequence out twice.
    next_sequence INTEGER NOT NULL,
    -- 1 while a daemon has it open: still 1 at start means that it did not stop cleanly.
    in_use        INTEGER NOT NULL CHECK (in_use IN (0, 1)),
    -- When somebody last asked whether it can be written; null before.
    probed_us     INTEGER
) STRICT;

-- One row: a source of the configuration, by its name.
CREATE TABLE source (
    id           INTEGER NOT NULL PRIMARY KEY,
    name         TEXT    NOT NULL UNIQUE,
    -- Where its history begins, and below which it is complete; null before its first poll.
    start_us     INTEGER,
    watermark_us INTEGER,
    -- What was learnt of its entries' lateness, and at which server time; null before.
    learnt_us    INTEGER,
    -- The overlap in use then.
    overlap_us   INTEGER,
    -- Entries that this rests on, and those of them that only a sweep found.
    entries      INTEGER,
    swept        INTEGER,
    -- The lateness that 99.5 % of them did not exceed; null while they are too few to tell.
    quantile_us  INTEGER,
    -- Since when entries come later than the overlap; null while they do not.
    late_us      INTEGER,
    -- Of those entries, how many were visible within each bound of the curve, a JSON array;
    -- null before.
    curve        TEXT CHECK (json_valid(curve)),
    -- Since when its webhook is taken, and how long after one route showed an entry the
    -- other one counts as having missed it; null without a webhook.
    push_since_us INTEGER,
    horizon_us    INTEGER,
    -- When the last audit entry was pushed; null before.
    heard_us       INTEGER,
    -- The last sequence then, or when the webhook was taken first; null before.
    heard_sequence INTEGER,
    -- Since when pushes stay away from what polling finds, and heard_sequence then; null
    -- while they do not.
    silent_us       INTEGER,
    silent_sequence INTEGER,
    -- Up to this sequence it is known what either route has missed; null without a webhook.
    judged_sequence INTEGER,
    -- Audit entries that one route showed and the other one did not within the horizon, ever.
    missed_by_push  INTEGER NOT NULL DEFAULT 0,
    missed_by_poll  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One row: the last complete scan of a stretch [from_us, until_us) of a source's time.
-- Stretches of one source never overlap.
CREATE TABLE coverage (
    source_id INTEGER NOT NULL REFERENCES source (id) DEFERRABLE INITIALLY DEFERRED,
    from_us   INTEGER NOT NULL,
    until_us  INTEGER NOT NULL CHECK (until_us > from_us),
    -- Server time when that scan's first request was sent.
    asked_us  INTEGER NOT NULL,
    PRIMARY KEY (source_id, from_us)
) STRICT, WITHOUT ROWID;

-- One row: a namespace of event ids, that is a workspace and an envelope's `source`.
CREATE TABLE origin (
    id           INTEGER NOT NULL PRIMARY KEY,
    workspace_id TEXT    NOT NULL,
    uri          TEXT    NOT NULL,
    UNIQUE (workspace_id, uri)
) STRICT;

-- One row: a thing that happened. `event_once` is the rule of "exactly once" (I4).
CREATE TABLE event (
    sequence    INTEGER NOT NULL PRIMARY KEY,
    origin_id   INTEGER NOT NULL REFERENCES origin (id) DEFERRABLE INITIALLY DEFERRED,
    id          TEXT    NOT NULL,
    source_id   INTEGER NOT NULL REFERENCES source (id) DEFERRABLE INITIALLY DEFERRED,
    type        TEXT    NOT NULL,
    occurred_us INTEGER NOT NULL,
    recorded_us INTEGER NOT NULL,
    first_route TEXT    NOT NULL CHECK (first_route IN ('poll', 'push')),
    -- Null where the source left it out.
    category    TEXT,
    username    TEXT,
    description TEXT,
    ip_address  TEXT,
    -- The structured CloudEvent, byte for byte what targets get.
    body        TEXT    NOT NULL,
    -- CRC-32 of the origin's uri, the id and the body, each with a zero byte after it.
    checksum    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX event_once ON event (origin_id, id);
-- For history by time; and for comparisons, which so read no body.
CREATE INDEX event_time ON event (occurred_us, source_id, origin_id);

-- One row: the first time that an event was seen by a route. It has no foreign key: rows
-- are made from event's own, and checking each again would cost a lookup an event.
CREATE TABLE sighting (
    sequence INTEGER NOT NULL,
    route    TEXT    NOT NULL CHECK (route IN ('poll', 'push')),
    seen_us  INTEGER NOT NULL,
    -- Server time when the first answer was there that showed it; null where that says
    -- nothing of its lateness: pushed, or polled for the first time long after it was made.
    shown_us  INTEGER,
    -- Server time when the last complete scan before it began; null when there was none.
    unseen_us INTEGER,
    -- The sweep that found it; null when none had to.
    tier      TEXT CHECK (tier IN ('hourly', 'daily')),
    -- What keeps it out of comparisons of the routes; null when nothing does. nudged: the
    -- poll was due only because of a push. batch: it was pushed together with others.
    -- outside: polling as it is configured may never show it.
    label    TEXT CHECK (label IN ('nudged', 'batch', 'outside')),
    -- Of the second route to show it: the fields that it tells differently, a JSON array of
    -- their paths in data; null when there is none, and for the first route.
    differs  TEXT,
    PRIMARY KEY (sequence, route)
) STRICT, WITHOUT ROWID;

-- For comparisons.
CREATE INDEX sighting_differs ON sighting (sequence) WHERE differs IS NOT NULL;

-- One row: a target of the configuration, by its name.
CREATE TABLE target (
    id         INTEGER NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    created_us INTEGER NOT NULL,
    -- failing: it takes nothing, and gets one delivery at a time until one succeeds.
    -- paused: an operator asked for it; gone: it answered 410. In both, nothing is sent
    -- until an operator resumes it.
    state      TEXT    NOT NULL CHECK (state IN ('active', 'failing', 'paused', 'gone')),
    since_us   INTEGER NOT NULL,
    -- When an operator last resumed it; null if never.
    resumed_us INTEGER,
    -- Deliveries that ended, ever; kept here because counting them would read them all.
    delivered  INTEGER NOT NULL DEFAULT 0,
    dead       INTEGER NOT NULL DEFAULT 0,
    -- Null until the first delivery.
    last_delivered_us INTEGER,
    -- 1: it gets our own events about other targets.
    own_events   INTEGER NOT NULL DEFAULT 0 CHECK (own_events IN (0, 1)),
    -- How many of its dead letters an event has told of, or needs to tell of no more.
    dead_told    INTEGER NOT NULL DEFAULT 0,
    -- When the last such event was made; null before the first.
    dead_told_us INTEGER
) STRICT;

-- One row: a stretch [from_sequence, until_sequence) of events that a target is owed (I5) and
-- was not tried with since they were stored or replayed: their deliveries are pending, with
-- step 0. Those of one target neither overlap nor touch. So what comes in is owed with one row
-- a page.
CREATE TABLE fresh (
    target_id      INTEGER NOT NULL REFERENCES target (id) DEFERRABLE INITIALLY DEFERRED,
    from_sequence  INTEGER NOT NULL,
    until_sequence INTEGER NOT NULL CHECK (until_sequence > from_sequence),
    PRIMARY KEY (target_id, from_sequence)
) STRICT, WITHOUT ROWID;

-- One row: what has come of bringing one event to one target, from the first attempt on. It
-- has no foreign key to event: rows are made from event's own.
CREATE TABLE delivery (
    sequence         INTEGER NOT NULL,
    target_id        INTEGER NOT NULL REFERENCES target (id) DEFERRABLE INITIALLY DEFERRED,
    status           TEXT    NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
    attempts         INTEGER NOT NULL,
    -- Failed attempts since it was made or replayed: its place in the retry schedule.
    step             INTEGER NOT NULL,
    -- Start of the first of those; null before.
    first_attempt_us INTEGER,
    last_attempt_us  INTEGER NOT NULL,
    -- Null when the attempt brought no answer.
    last_status      INTEGER,
    -- Null when the last attempt delivered.
    last_reason      TEXT,
    -- Null when it is due at once, and when it has ended.
    next_attempt_us  INTEGER,
    -- When it was delivered or buried; null while it is pending.
    settled_us       INTEGER,
    -- Of the last attempt, if that delivered: how long it took, and the first 2 KiB of the
    -- answer, redacted. Null while it is not delivered; the answer also when it was empty.
    delivered_in_us  INTEGER,
    delivered_answer TEXT,
    PRIMARY KEY (sequence, target_id)
) STRICT, WITHOUT ROWID;

-- For retries; first attempts are apart, so that a retry backlog does not slow fresh events.
CREATE INDEX delivery_retry ON delivery (target_id, next_attempt_us, sequence)
    WHERE status = 'pending' AND step > 0;
-- For listing dead letters.
CREATE INDEX delivery_dead ON delivery (target_id, sequence) WHERE status = 'dead';

-- One row: one HTTP request for a delivery, but for the one that delivered: that is part of
-- its delivery until it is replayed. The requests of a batch have a row an event.
-- It has no foreign key, for the same reason: rows are made from delivery's own.
CREATE TABLE attempt (
    sequence    INTEGER NOT NULL,
    target_id   INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    started_us  INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    -- Null when there was no answer.
    status      INTEGER,
    -- Null when it delivered.
    reason      TEXT,
    -- First 2 KiB of the answer or of the error, redacted; null when there was nothing.
    answer      TEXT,
    PRIMARY KEY (sequence, target_id, number)
) STRICT, WITHOUT ROWID;

-- One row: one request to the audit log.
CREATE TABLE poll_request (
    id          INTEGER NOT NULL PRIMARY KEY,
    source_id   INTEGER NOT NULL REFERENCES source (id) DEFERRABLE INITIALLY DEFERRED,
    started_us  INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    from_us     INTEGER NOT NULL,
    until_us    INTEGER NOT NULL,
    skip        INTEGER NOT NULL,
    outcome     TEXT    NOT NULL,
    -- Null when there was no answer.
    status      INTEGER,
    count       INTEGER,
    total       INTEGER,
    new         INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    -- Null when nothing went wrong.
    error       TEXT,
    -- hot: the present; past: unsettled time before it; hourly, daily: a sweep.
    tier        TEXT    NOT NULL CHECK (tier IN ('hot', 'past', 'hourly', 'daily')),
    -- Events that polling showed for the first time with it.
    sighted     INTEGER NOT NULL DEFAULT 0,
    -- When the poll began that it was part of: the requests of one poll have it in common.
    run_us      INTEGER NOT NULL,
    -- 1: that poll was due only because of a push.
    nudged      INTEGER NOT NULL CHECK (nudged IN (0, 1))
) STRICT;

CREATE INDEX poll_request_time ON poll_request (started_us);

-- One row: one request that the receiver got. Of those that were turned away unsigned, only
-- so many a minute: a stranger must not fill the disk.
CREATE TABLE push_request (
    id          INTEGER NOT NULL PRIMARY KEY,
    source_id   INTEGER NOT NULL REFERENCES source (id) DEFERRABLE INITIALLY DEFERRED,
    received_us INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    new         INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    -- Whose signature it bore; null when there was none of ours.
    secret      TEXT CHECK (secret IN ('primary', 'secondary', 'both')),
    -- Null when nothing went wrong.
    error       TEXT,
    -- Events that push showed for the first time with it, and those pushed before.
    sighted     INTEGER NOT NULL DEFAULT 0,
    repeated    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX push_request_time ON push_request (received_us);

-- One row: something that came in and could not be read. Kept once, however often it comes.
CREATE TABLE quarantined (
    id          INTEGER NOT NULL PRIMARY KEY,
    source_id   INTEGER NOT NULL REFERENCES source (id) DEFERRABLE INITIALLY DEFERRED,
    route       TEXT    NOT NULL CHECK (route IN ('poll', 'push')),
    received_us INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    raw         TEXT    NOT NULL,
    -- SHA-256 of raw, hex.
    digest      TEXT    NOT NULL,
    UNIQUE (source_id, digest)
) STRICT;

-- One row: what an operator did to a target, or what its answers have shown.
CREATE TABLE operation (
    id         INTEGER NOT NULL PRIMARY KEY,
    asked_us   INTEGER NOT NULL,
    verb       TEXT    NOT NULL CHECK (verb IN ('pause', 'resume', 'replay', 'failing',
                                                'recovered', 'gone')),
    target_id  INTEGER NOT NULL REFERENCES target (id) DEFERRABLE INITIALLY DEFERRED,
    -- What a replay was asked for, in words; null for other verbs.
    selection  TEXT,
    -- Deliveries that a replay has made pending so far; null for other verbs.
    deliveries INTEGER
) STRICT;

CREATE VIEW history AS
SELECT e.sequence,
       e.id,
       o.uri AS source,
       o.workspace_id,
       e.type,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_us / 1000 / 1000.0, 'unixepoch') AS time,
       e.category,
       e.username,
       e.description,
       e.ip_address,
       e.first_route,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.recorded_us / 1000 / 1000.0, 'unixepoch') AS recorded_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', poll.seen_us / 1000 / 1000.0, 'unixepoch') AS poll_seen_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', push.seen_us / 1000 / 1000.0, 'unixepoch') AS push_seen_at,
       (poll.seen_us - push.seen_us) / 1000 AS lead_ms,
       (SELECT count(*) FROM delivery d WHERE d.sequence = e.sequence AND d.status = 'delivered')
           AS delivered,
       (SELECT count(*) FROM delivery d
        WHERE d.sequence = e.sequence AND d.status = 'pending' AND d.step > 0)
       + (SELECT count(*) FROM target t
          WHERE e.sequence < (SELECT f.until_sequence FROM fresh f
                              WHERE f.target_id = t.id AND f.from_sequence <= e.sequence
                              ORDER BY f.from_sequence DESC LIMIT 1)) AS pending,
       (SELECT count(*) FROM delivery d WHERE d.sequence = e.sequence AND d.status = 'dead')
           AS dead,
       e.body -> '$.data' AS data,
       s.name AS source_name,
       poll.label AS poll_label,
       push.label AS push_label,
       coalesce(poll.differs, push.differs) AS differs
FROM event e
JOIN origin o ON o.id = e.origin_id
JOIN source s ON s.id = e.source_id
LEFT JOIN sighting poll ON poll.sequence = e.sequence AND poll.route = 'poll'
LEFT JOIN sighting push ON push.sequence = e.sequence AND push.route = 'push';

CREATE VIEW delivery_log AS
SELECT e.id AS event_id,
       t.name AS target,
       d.status,
       d.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.last_attempt_us / 1000 / 1000.0, 'unixepoch')
           AS last_attempt_at,
       d.last_status,
       d.last_reason,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.next_attempt_us / 1000 / 1000.0, 'unixepoch')
           AS next_attempt_at,
       CASE d.status WHEN 'delivered' THEN
           strftime('%Y-%m-%dT%H:%M:%fZ', d.settled_us / 1000 / 1000.0, 'unixepoch')
       END AS delivered_at,
       d.sequence
FROM delivery d
JOIN event e ON e.sequence = d.sequence
JOIN target t ON t.id = d.target_id
UNION ALL
-- The types are those above: without them SQLite would put all rows together before it sorts.
SELECT e.id, t.name, CAST('pending' AS TEXT), CAST(0 AS INTEGER), NULL, CAST(NULL AS INTEGER),
       CAST(NULL AS TEXT), NULL, NULL, e.sequence
FROM fresh f
JOIN event e ON e.sequence >= f.from_sequence AND e.sequence < f.until_sequence
JOIN target t ON t.id = f.target_id
WHERE NOT EXISTS (SELECT 1 FROM delivery d
                  WHERE d.sequence = e.sequence AND d.target_id = f.target_id);

CREATE VIEW attempt_log AS
SELECT e.id AS event_id,
       t.name AS target,
       a.number,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.started_us / 1000 / 1000.0, 'unixepoch') AS started_at,
       a.duration_us / 1000.0 AS duration_ms,
       a.status,
       a.reason,
       a.answer,
       a.sequence
FROM attempt a
JOIN event e ON e.sequence = a.sequence
JOIN target t ON t.id = a.target_id
UNION ALL
SELECT e.id,
       t.name,
       d.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.last_attempt_us / 1000 / 1000.0, 'unixepoch'),
       d.delivered_in_us / 1000.0,
       d.last_status,
       d.last_reason,
       d.delivered_answer,
       d.sequence
FROM delivery d
JOIN event e ON e.sequence = d.sequence
JOIN target t ON t.id = d.target_id
WHERE d.delivered_in_us IS NOT NULL;

CREATE VIEW poll_log AS
SELECT p.id,
       s.name AS source,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.started_us / 1000 / 1000.0, 'unixepoch') AS started_at,
       p.duration_us / 1000.0 AS duration_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.from_us / 1000 / 1000.0, 'unixepoch') AS asked_from,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.until_us / 1000 / 1000.0, 'unixepoch') AS asked_until,
       p.skip AS "offset",
       p.outcome,
       p.status,
       p.count,
       p.total,
       p.new,
       p.bytes,
       p.error,
       p.tier,
       p.sighted,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.run_us / 1000 / 1000.0, 'unixepoch') AS run_at,
       p.nudged
FROM poll_request p
JOIN source s ON s.id = p.source_id;

-- One row: an event that polling brought while its lateness could be told, which lies
-- between the two ends.
CREATE VIEW lateness AS
SELECT g.sequence,
       e.id,
       s.name AS source_name,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_us / 1000 / 1000.0, 'unixepoch') AS time,
       strftime('%Y-%m-%dT%H:%M:%fZ', g.unseen_us / 1000 / 1000.0, 'unixepoch') AS unseen_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', g.shown_us / 1000 / 1000.0, 'unixepoch') AS shown_at,
       -- The source cuts creation times down to the second.
       max(coalesce(g.unseen_us - e.occurred_us - 1000000, 0), 0) / 1000 AS at_least_ms,
       max(g.shown_us - e.occurred_us, 0) / 1000 AS at_most_ms,
       g.tier
FROM sighting g
JOIN event e ON e.sequence = g.sequence
JOIN source s ON s.id = e.source_id
WHERE g.shown_us IS NOT NULL;

CREATE VIEW source_status AS
SELECT s.name AS source,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.start_us / 1000000, 'unixepoch') AS start,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.watermark_us / 1000000, 'unixepoch') AS complete_below,
       s.overlap_us / 1000000 AS overlap_s,
       s.entries AS lateness_entries,
       s.quantile_us / 1000000.0 AS lateness_p995_s,
       s.swept AS lateness_found_by_sweeps,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.learnt_us / 1000000, 'unixepoch') AS lateness_learnt_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.late_us / 1000000, 'unixepoch') AS late_since,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.heard_us / 1000000, 'unixepoch') AS push_heard_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.silent_us / 1000000, 'unixepoch') AS push_silent_since,
       s.missed_by_push,
       s.missed_by_poll
FROM source s;

CREATE VIEW push_log AS
SELECT p.id,
       s.name AS source,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.received_us / 1000 / 1000.0, 'unixepoch') AS received_at,
       p.duration_us / 1000.0 AS duration_ms,
       p.status,
       p.count,
       p.new,
       p.bytes,
       p.error,
       p.secret,
       p.sighted,
       p.repeated
FROM push_request p
JOIN source s ON s.id = p.source_id;

-- Audit entries that one route showed and the other one did not within the horizon:
-- SELECT source, missed_by, count(*) FROM missed GROUP BY source, missed_by;
CREATE VIEW missed AS
SELECT e.sequence,
       e.id AS event_id,
       s.name AS source,
       'push' AS missed_by,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_us / 1000 / 1000.0, 'unixepoch') AS time,
       strftime('%Y-%m-%dT%H:%M:%fZ', poll.seen_us / 1000 / 1000.0, 'unixepoch') AS seen_at
FROM event e
JOIN source s ON s.id = e.source_id
JOIN sighting poll ON poll.sequence = e.sequence AND poll.route = 'poll'
WHERE e.type = 'com.hpe.greenlake.audit-log.v1.logs.created'
  AND e.occurred_us >= s.push_since_us
  AND poll.seen_us < unixepoch('now') * 1000000 - s.horizon_us
  AND NOT EXISTS (SELECT 1 FROM sighting push
                  WHERE push.sequence = e.sequence AND push.route = 'push')
UNION ALL
SELECT e.sequence,
       e.id,
       s.name,
       'poll',
       strftime('%Y-%m-%dT%H:%M:%fZ', e.occurred_us / 1000 / 1000.0, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%fZ', push.seen_us / 1000 / 1000.0, 'unixepoch')
FROM event e
JOIN source s ON s.id = e.source_id
JOIN sighting push ON push.sequence = e.sequence AND push.route = 'push'
WHERE e.type = 'com.hpe.greenlake.audit-log.v1.logs.created'
  AND coalesce(push.label, '') <> 'outside'
  AND e.occurred_us >= s.start_us
  AND push.seen_us < unixepoch('now') * 1000000 - s.horizon_us
  AND NOT EXISTS (SELECT 1 FROM sighting poll
                  WHERE poll.sequence = e.sequence AND poll.route = 'poll');

CREATE VIEW quarantine AS
SELECT q.id,
       s.name AS source,
       q.route,
       strftime('%Y-%m-%dT%H:%M:%fZ', q.received_us / 1000 / 1000.0, 'unixepoch') AS received_at,
       q.reason,
       q.raw
FROM quarantined q
JOIN source s ON s.id = q.source_id;

CREATE VIEW target_status AS
SELECT t.name AS target,
       t.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.since_us / 1000 / 1000.0, 'unixepoch') AS state_since,
       (SELECT coalesce(sum(f.until_sequence - f.from_sequence), 0) FROM fresh f
        WHERE f.target_id = t.id)
       + (SELECT count(*) FROM delivery d
          WHERE d.target_id = t.id AND d.status = 'pending' AND d.step > 0) AS pending,
       (SELECT count(*) FROM delivery d WHERE d.target_id = t.id AND d.status = 'dead') AS dead,
       t.delivered AS delivered_total,
       t.dead AS dead_total,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.last_delivered_us / 1000 / 1000.0, 'unixepoch')
           AS last_delivered_at
FROM target t;

CREATE VIEW operation_log AS
SELECT p.id,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.asked_us / 1000 / 1000.0, 'unixepoch') AS asked_at,
       p.verb,
       t.name AS target,
       p.selection,
       p.deliveries
FROM operation p
JOIN target t ON t.id = p.target_id;

-- What SQLite is to expect of a large ledger when it plans. Were it to look for itself, it would
-- look at the first rows alone, take a namespace for a few hundred events of millions, and
-- sort all of them for the last few.
ANALYZE;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat)
VALUES ('event', 'event_once', '1000000 500000 1'),
       ('event', 'event_time', '1000000 2 1 1'),
       ('sighting', 'sighting', '1000000 1 1'),
       ('sighting', 'sighting_differs', '1000 1'),
       ('delivery', 'delivery', '2000000 2 1'),
       ('delivery', 'delivery_retry', '1000 500 1 1'),
       ('delivery', 'delivery_dead', '1000 500 1'),
       ('attempt', 'attempt', '10000 2 2 1'),
       ('fresh', 'fresh', '8 2 1'),
       ('poll_request', 'poll_request_time', '100000 1'),
       ('push_request', 'push_request_time', '100000 1'),
       ('origin', 'sqlite_autoindex_origin_1', '4 2 1'),
       ('source', 'sqlite_autoindex_source_1', '4 1'),
       ('target', 'sqlite_autoindex_target_1', '4 1');
