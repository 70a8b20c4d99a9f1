-- A small ledger as version 0.1.0 leaves it: one event delivered, one on its way, one buried.

INSERT INTO ledger (id, created_us, next_sequence, in_use, probed_us)
VALUES (1, 1795219200000000, 4, 0, 1795219300000000);

INSERT INTO source (id, name, start_us, watermark_us, learnt_us, overlap_us, entries, swept,
                    quantile_us, late_us, push_since_us, horizon_us, heard_us, heard_sequence,
                    silent_us, silent_sequence, judged_sequence, missed_by_push,
                    missed_by_poll)
VALUES (1, 'production', 1795219200000000, 1795219260000000, 1795220400000000, 900000000,
        700, 1, 31000000, 1795220400000000, 1795219200000000, 1000000, NULL, 0,
        1795223000000000, 0, 2, 2, 0),
       (2, 'laboratory', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1795219200000000,
        43200000000, 1795219210500000, 3, NULL, NULL, 0, 0, 0);

INSERT INTO coverage (source_id, from_us, until_us, asked_us)
VALUES (1, 1795219200000000, 1795219260000000, 1795220400000000),
       (1, 1795219260000000, 1795219320000000, 1795219320500000);

INSERT INTO origin (id, workspace_id, uri)
VALUES (1, '3009de2825f211ec8a84fedebcb4a754', '//global.api.greenlake.hpe.com/audit-log');

INSERT INTO event (sequence, origin_id, id, source_id, type, occurred_us, recorded_us,
                   first_route, category, username, description, ip_address, body,
                   checksum)
VALUES (1, 1, 'AZ-first', 1, 'com.hpe.greenlake.audit-log.v1.logs.created',
        1795219205000000, 1795219207123456, 'poll',
        'user_management', 'ada@example.com', 'User ada@example.com logged in', '192.0.2.7',
        '{"specversion":"1.0","id":"AZ-first","source":"//global.api.greenlake.hpe.com/audit-log","type":"com.hpe.greenlake.audit-log.v1.logs.created","data":{"id":"AZ-first","category":"user_management"}}',
        4287664284),
       (2, 1, 'AZ-second', 1, 'com.hpe.greenlake.audit-log.v1.logs.created',
        1795219206000000, 1795219207123456, 'poll',
        NULL, NULL, NULL, NULL,
        '{"specversion":"1.0","id":"AZ-second","source":"//global.api.greenlake.hpe.com/audit-log","type":"com.hpe.greenlake.audit-log.v1.logs.created","data":{"id":"AZ-second"}}',
        1897575289),
       (3, 1, 'AZ-third', 2, 'com.hpe.greenlake.audit-log.v1.logs.created',
        1795219210000000, 1795219210500000, 'push',
        'device_management', 'grace@example.com', 'Ünïcödé "quoted"', '2001:db8::1',
        '{"specversion":"1.0","id":"AZ-third","source":"//global.api.greenlake.hpe.com/audit-log","type":"com.hpe.greenlake.audit-log.v1.logs.created","data":{"id":"AZ-third"}}',
        1790195600);

INSERT INTO sighting (sequence, route, seen_us, shown_us, unseen_us, tier, label, differs)
VALUES (1, 'poll', 1795219207123456, 1795219207000000, NULL, NULL, NULL, NULL),
       (2, 'poll', 1795219207123456, NULL, NULL, NULL, NULL, NULL),
       (3, 'push', 1795219210500000, NULL, NULL, NULL, 'batch', NULL),
       (3, 'poll', 1795219237000000, 1795222837000000, 1795220237000000, 'hourly', 'nudged',
        '["description"]');

INSERT INTO target (id, name, created_us, state, since_us, resumed_us, delivered, dead,
                    last_delivered_us)
VALUES (1, 'siem', 1795219200000000, 'active', 1795219239000000, 1795219239000000, 1, 0,
        1795219207200000),
       (2, 'oncall', 1795219200000000, 'gone', 1795219211000000, NULL, 0, 1, NULL),
       (3, 'archive', 1795219200000000, 'failing', 1795219212000000, NULL, 0, 0, NULL);

UPDATE target SET own_events = 1 WHERE id = 1;
UPDATE target SET dead_told = 1, dead_told_us = 1795219207300000 WHERE id = 2;

INSERT INTO delivery (sequence, target_id, status, attempts, step, first_attempt_us,
                      last_attempt_us, last_status, last_reason, next_attempt_us, settled_us,
                      delivered_in_us, delivered_answer)
VALUES (1, 1, 'delivered', 1, 0, NULL, 1795219207150000, 200, NULL, NULL, 1795219207200000,
        50000, 'ok'),
       (1, 2, 'dead', 1, 1, 1795219207150000, 1795219207150000, 400, 'rejected', NULL,
        1795219207300000, NULL, NULL),
       (2, 1, 'pending', 1, 1, 1795219207150000, 1795219207150000, NULL, 'timeout',
        1795219227150000, NULL, NULL, NULL);

INSERT INTO fresh (target_id, from_sequence, until_sequence) VALUES (1, 3, 4), (3, 1, 4);

INSERT INTO attempt (sequence, target_id, number, started_us, duration_us, status, reason, answer)
VALUES (1, 2, 1, 1795219207150000, 150000, 400, 'rejected', 'unknown field'),
       (2, 1, 1, 1795219207150000, 15000000, NULL, 'timeout', NULL);

INSERT INTO poll_request (id, source_id, started_us, duration_us, from_us, until_us, skip,
                          outcome, status, count, total, new, bytes, error, tier, sighted, run_us,
                          nudged)
VALUES (1, 1, 1795219207000000, 120000, 1795219200000000, 1795219208000000, 0,
        'complete', 200, 2, 2, 2, 1843, NULL, 'hot', 2, 1795219206990000, 0),
       (2, 1, 1795219237000000, 30000000, 1795219200000000, 1795219238000000, 0,
        'timeout', NULL, NULL, NULL, 0, 0, 'no answer within 30s', 'hourly', 0,
        1795219236000000, 1);

INSERT INTO push_request (id, source_id, received_us, duration_us, status, count, new, bytes,
                          secret, error, sighted, repeated)
VALUES (1, 2, 1795219210500000, 1800, 202, 1, 1, 912, 'secondary', NULL, 1, 0),
       (2, 2, 1795219211500000, 90, 401, 0, 0, 912, NULL, 'no signature of ours', 0, 0);

INSERT INTO quarantined (id, source_id, route, received_us, reason, raw, digest)
VALUES (1, 1, 'poll', 1795219207123456, 'it has no id', '{"category":"User Management"}',
        '8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf');

INSERT INTO operation (id, asked_us, verb, target_id, selection, deliveries)
VALUES (1, 1795219238000000, 'pause', 1, NULL, NULL),
       (2, 1795219239000000, 'resume', 1, NULL, NULL),
       (3, 1795219240000000, 'replay', 1, 'event AZ-second', 1),
       (4, 1795219212000000, 'failing', 3, NULL, NULL);
