-- Applies a batch of commands in order and stops at the first that fails. shared.lua comes before
-- this text.
-- Every command is idempotent: to apply it again changes nothing.
--
-- KEYS: none. The keys follow from the arguments, so all of them must be on one Redis, not a cluster.
-- ARGV[1] = retention in seconds
-- ARGV[2] = longest kanjo:events
-- ARGV[3] = longest stream of readings of a call
-- ARGV[4] = the time of the writer's clock, in epoch seconds, at which it sent this
-- ARGV[5] = the id and the history of the data as the writer knows them, or '' if it knows none
-- ARGV[6] = a new id of the data, for a Redis without one
-- ARGV[7+] = for every command: its kind, the count of its arguments, name1, value1, name2, value2, ...
--
-- Returns {count of commands applied, why the next one failed or '', the id and the history of the
-- data, {session1, count1, session2, count2, ...} of readings that another session of their call id
-- replaced or kept out}. If id and history are not what the writer knows, no command is applied.

local retention_s, events_limit, readings_limit = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local retention_ms = string.format('%d', retention_s * 1000)

-- The time now, and the time before which everything is deleted: by Redis's clock, which is the same
-- for every instance of the service.
local time = redis.call('TIME')
local now_s = tonumber(time[1]) + tonumber(time[2]) / 1e6
local now = string.format('%.3f', now_s)
local oldest = string.format('%.3f', now_s - retention_s)
local oldest_id = string.format('%.0f', math.max(0, now_s - retention_s) * 1000)

-- The time of Redis's clock at which something happened whose time the writer's clock gave: how
-- long ago it was is by the writer's clock alone, so that services with wrong clocks agree.
local sent_at = tonumber(ARGV[4])
local function redis_time(at) return string.format('%.6f', now_s - (sent_at - tonumber(at))) end

-- The keys, as in keys.py.
local DATA = 'kanjo:data'
local ALERTS, EVENTS, REFUSED = 'kanjo:alerts', 'kanjo:events', 'kanjo:refused'
local ALERTS_BY_TIME, CALLS_BY_TIME = 'kanjo:alerts:by-time', 'kanjo:calls:by-time'
local CALLS_LIVE, CALLS_LIVE_BY_TIME = 'kanjo:calls:live', 'kanjo:calls:live:by-time'
local function alert_key(alert_id) return 'kanjo:alert:' .. alert_id end
local function call_key(call_id) return 'kanjo:call:' .. call_id end
local function readings_key(call_id) return 'kanjo:readings:' .. call_id end
local function session_key(session) return 'kanjo:session:' .. session end
local function session_alerts_key(session) return 'kanjo:session:' .. session .. ':alerts' end
local function erased_key(session) return 'kanjo:erased:' .. session end

-- The fields of a transition, in the order in which kanjo:alerts holds them.
local TRANSITION = {
  'alert_id', 'number', 'call_id', 'track', 'emotion', 'state', 'since_s', 'at_s', 'probability',
  'peak', 'at',
}

-- The open states of an alert, and the state that each becomes at the end of the call.
local CLOSED_STATE = { pending = 'lapsed', firing = 'resolved' }

-- Returns {name1, value1, ...} of the named fields of a table.
local function list_of(fields, names)
  local list = {}
  for _, name in ipairs(names) do
    list[#list + 1] = name
    list[#list + 1] = fields[name]
  end
  return list
end

-- The count of readings that were replaced or kept out, by session.
local superseded = {}
local function supersede(session, count)
  superseded[session] = (superseded[session] or 0) + count
end

-- Lets a key expire after the retention, counted from now.
local function expire(key) redis.call('PEXPIRE', key, retention_ms) end

-- Adds an event for subscribers: its kind, and the fields that they show. Returns its id.
local function publish(kind, list)
  local id = redis.call('XADD', EVENTS, 'MAXLEN', '~', events_limit, '*', 'kind', kind, unpack(list))
  expire(EVENTS)
  return id
end

-- Publishes a call as it is now. The ids of events that name its agent are kept beside it, for
-- `forget_agent`.
local function publish_call(kind, call)
  local list = redis.call('HGETALL', call)
  local fields = table_of(list)
  local ids = fields.agent_events
  local id = publish(kind, list)
  if fields.agent then
    redis.call('HSET', call, 'agent_events', (ids and ids .. ' ' or '') .. id)
  end
end

-- Removes the name of a call's agent, from the call and from the events that have it.
local function forget_agent(call)
  for id in string.gmatch(redis.call('HGET', call, 'agent_events') or '', '%S+') do
    redis.call('XDEL', EVENTS, id)
  end
  redis.call('HDEL', call, 'agent', 'agent_events')
end

-- The commands by kind. Each gets its arguments as a table.
local command = {}

-- Begins a session of a call id.
-- f: session, call_id, bridge, tracks, metadata, started_at; facts, agent, consent if there are any
function command.call_started(f)
  -- Do nothing if the session is known: the command is a repetition.
  if redis.call('EXISTS', session_key(f.session)) == 1 then return end

  -- Replace an earlier session of the same call id, and its readings.
  local call = call_key(f.call_id)
  local earlier, state = unpack(redis.call('HMGET', call, 'session', 'state'))
  if state == 'live' then supersede(earlier, redis.call('XLEN', readings_key(f.call_id))) end
  forget_agent(call)
  redis.call('DEL', call, readings_key(f.call_id))
  redis.call('HSET', call, 'state', 'live', unpack(list_of(f,
    { 'session', 'call_id', 'bridge', 'tracks', 'metadata', 'started_at' })))
  redis.call('HSET', call, 'facts', f.facts or '{}', 'consent', f.consent or 'unknown')
  if f.agent then redis.call('HSET', call, 'agent', f.agent) end

  -- Add it to the calls by time and, with a first heartbeat, to the live ones.
  local started_at = redis_time(f.started_at)
  redis.call('ZADD', CALLS_BY_TIME, started_at, f.call_id)
  redis.call('ZADD', CALLS_LIVE_BY_TIME, started_at, f.call_id)
  redis.call('ZADD', CALLS_LIVE, now, f.session)

  -- Last, because it marks the rest as done: a command that failed on its way is done again whole.
  redis.call('SET', session_key(f.session), f.call_id)
  publish_call('call_started', call)
end

-- Adds tracks, metadata and facts to a live call. None is ever removed, so the longer text has more.
-- f: session, call_id, tracks (all), metadata (all); facts (all) and agent if there are any
function command.call_joined(f)
  -- Do nothing if another session has the call id, the call has ended, or it has all of this.
  local call = call_key(f.call_id)
  local session, state, tracks, metadata, facts, agent =
    unpack(redis.call('HMGET', call, 'session', 'state', 'tracks', 'metadata', 'facts', 'agent'))
  if session ~= f.session or state ~= 'live' or #tracks > #f.tracks then return end
  facts = facts or '{}' -- of a call that an earlier version began
  f.facts = f.facts or facts
  local has_more = #f.tracks > #tracks or #f.metadata > #metadata or #f.facts > #facts
  if not has_more and (agent or not f.agent) then return end

  -- Store and publish the call as it is now.
  redis.call('HSET', call, 'tracks', f.tracks, 'metadata', f.metadata, 'facts', f.facts)
  if f.agent then redis.call('HSET', call, 'agent', f.agent) end
  publish_call('call_started', call)
end

-- Stores what the caller of a live call agreed to.
-- f: session, call_id, consent
function command.consent(f)
  local call = call_key(f.call_id)
  local session, state, consent = unpack(redis.call('HMGET', call, 'session', 'state', 'consent'))
  if session ~= f.session or state ~= 'live' or consent == f.consent then return end
  redis.call('HSET', call, 'consent', f.consent)
  publish_call('call_started', call)
end

-- Marks a session as erased because its caller refused, and keeps what a service needs to erase it.
-- f: session, call_id, name (who said so)
function command.refused(f)
  redis.call('SET', erased_key(f.session), 1, 'PX', retention_ms)
  redis.call('ZREM', CALLS_LIVE, f.session)
  redis.call('HSET', REFUSED, f.session, cjson.encode({ f.call_id, f.name }))
end

-- Confirms that a session is live.
-- f: session, call_id
function command.heartbeat(f)
  -- Renew the heartbeat, unless the session has ended.
  redis.call('ZADD', CALLS_LIVE, 'XX', now, f.session)

  -- Go on only if no other session has the call id, and this one has not ended, or as lost while
  -- its process was cut off from Redis.
  local call = call_key(f.call_id)
  local session, state, reason = unpack(redis.call('HMGET', call, 'session', 'state', 'reason'))
  if session ~= f.session or (state ~= 'live' and reason ~= 'lost') then return end

  -- List the call as live: it is not yet, if it was lost or an earlier version wrote its start.
  if not redis.call('ZSCORE', CALLS_LIVE_BY_TIME, f.call_id) then
    local started_at = redis.call('ZSCORE', CALLS_BY_TIME, f.call_id) or now
    redis.call('ZADD', CALLS_LIVE_BY_TIME, started_at, f.call_id)
  end
  if state == 'live' then return end

  -- Make it live again, and keep its keys.
  redis.call('HSET', call, 'state', 'live')
  redis.call('HDEL', call, 'reason', 'ended_at')
  for _, key in ipairs({ call, readings_key(f.call_id), session_key(session),
    session_alerts_key(session) }) do
    redis.call('PERSIST', key)
  end
  redis.call('ZADD', CALLS_LIVE, now, session)
  publish_call('call_started', call)
end

-- Adds a reading to its call.
-- f: session, call_id, number, track, end_s, data (JSON)
function command.reading(f)
  -- Do nothing if another session has the call id, or the reading is stored already.
  local call, readings = call_key(f.call_id), readings_key(f.call_id)
  local session, last, state = unpack(redis.call('HMGET', call, 'session', 'readings', 'state'))
  if session and session ~= f.session then supersede(f.session, 1) end
  if session ~= f.session or tonumber(f.number) <= tonumber(last or 0) then return end

  -- Store the reading, its number, and that it is the last of its track.
  redis.call('XADD', readings, 'MAXLEN', '~', readings_limit, '*', 'data', f.data)
  redis.call('HSET', call, 'readings', f.number, 'last:' .. f.track, f.data)

  -- Extend a live call up to the reading's end; a call that has ended keeps its duration.
  if state == 'live' then
    if tonumber(f.end_s) > tonumber(redis.call('HGET', call, 'duration_s') or 0) then
      redis.call('HSET', call, 'duration_s', f.end_s)
    end
  else
    expire(readings)
  end
  publish('reading', { 'data', f.data })
end

-- Takes an alert one step further.
-- f: session, the fields that TRANSITION lists, and of a service that knows them: queue, the threshold
-- (fire_at), and until when its policy file mutes the alert (policy_until)
function command.transition(f)
  -- Do nothing if the step is stored already, or the alert is closed.
  local alert = alert_key(f.alert_id)
  local number, state = unpack(redis.call('HMGET', alert, 'number', 'state'))
  if tonumber(f.number) <= tonumber(number or 0) then return end
  if state and not CLOSED_STATE[state] then return end

  -- Add the alert to those of its session and, when it fires, to the alerts by time.
  redis.call('SADD', session_alerts_key(f.session), f.alert_id)
  expire(session_alerts_key(f.session))
  if f.state == 'firing' then
    redis.call('ZADD', ALERTS_BY_TIME, redis_time(f.at), f.alert_id)
  end

  -- Add the step to the stream, and delete what is older than the retention there.
  local step = list_of(f, TRANSITION)
  redis.call('XADD', ALERTS, 'MINID', '~', oldest_id, '*', unpack(step))
  expire(ALERTS)

  -- Store the alert's present state, and when it fired or was resolved: last, because its number
  -- marks the rest as done.
  if f.state == 'firing' then
    redis.call('HSET', alert, 'fired_at_s', f.at_s, 'fired_at', f.at)
  elseif f.state == 'resolved' then
    redis.call('HSET', alert, 'resolved_at_s', f.at_s)
  end
  redis.call('HSET', alert, 'session', f.session, unpack(step))
  if f.queue then redis.call('HSET', alert, 'queue', f.queue) end
  if f.fire_at then redis.call('HSET', alert, 'fire_at', f.fire_at) end
  if f.policy_until then redis.call('HSET', alert, 'policy_until', f.policy_until) end
  local until_s = muted_until(f, now_s)
  if until_s then redis.call('HSET', alert, 'muted_until', until_s) end
  redis.call('HINCRBY', alert, 'version', 1)
  expire(alert)
  publish('alert', redis.call('HGETALL', alert))
end

-- Ends a session.
-- f: session, reason, ended_at, duration_s (absent if unknown)
function command.call_ended(f)
  -- Do nothing if the session is unknown, or its call has ended already.
  redis.call('ZREM', CALLS_LIVE, f.session)
  local call_id = redis.call('GET', session_key(f.session))
  if not call_id then return end
  local call = call_key(call_id)
  local session, state, duration_s =
    unpack(redis.call('HMGET', call, 'session', 'state', 'duration_s'))
  local is_latest = session == f.session -- no later session has taken the call id over
  if is_latest and state ~= 'live' then return end

  -- Close the session's open alerts at the end of the call, in the order of their ids.
  local at_s = f.duration_s or (is_latest and duration_s) or '0'
  local alert_ids = redis.call('SMEMBERS', session_alerts_key(f.session))
  table.sort(alert_ids)
  for _, alert_id in ipairs(alert_ids) do
    local alert = table_of(redis.call('HGETALL', alert_key(alert_id)))
    if CLOSED_STATE[alert.state] then
      alert.state = CLOSED_STATE[alert.state]
      alert.number = string.format('%d', alert.number + 1)
      if tonumber(at_s) > tonumber(alert.at_s) then alert.at_s = at_s end
      alert.at = f.ended_at
      command.transition(alert)
    end
  end

  -- Let what belongs to the session alone expire.
  expire(session_key(f.session))
  expire(session_alerts_key(f.session))
  if not is_latest then return end

  -- End the call itself, and let it expire with its readings. An agent is named in live calls alone.
  forget_agent(call)
  redis.call('HSET', call, 'state', 'ended', 'reason', f.reason, 'ended_at', f.ended_at,
    'duration_s', at_s)
  redis.call('ZREM', CALLS_LIVE_BY_TIME, call_id)
  expire(call)
  expire(readings_key(call_id))
  publish_call('call_ended', call)
end

-- Ends sessions that are lost, and deletes what is older than the retention.
-- f: lost_after_s
function command.sweep(f)
  -- End the sessions whose last heartbeat is older than lost_after_s.
  local silent_since = string.format('%.3f', now_s - tonumber(f.lost_after_s))
  for _, session in ipairs(redis.call('ZRANGEBYSCORE', CALLS_LIVE, '-inf', silent_since)) do
    command.call_ended({ session = session, reason = 'lost', ended_at = now })
  end

  -- Delete what has no expiry of its own: the old members of streams and sorted sets.
  redis.call('XTRIM', ALERTS, 'MINID', oldest_id)
  redis.call('XTRIM', EVENTS, 'MINID', oldest_id)
  redis.call('ZREMRANGEBYSCORE', ALERTS_BY_TIME, '-inf', oldest)
  redis.call('ZREMRANGEBYSCORE', CALLS_BY_TIME, '-inf', oldest)
end

-- The arguments of each command that must be there.
local REQUIRED = {
  call_started = { 'session', 'call_id', 'bridge', 'tracks', 'metadata', 'started_at' },
  call_joined = { 'session', 'call_id', 'tracks', 'metadata' },
  consent = { 'session', 'call_id', 'consent' },
  refused = { 'session', 'call_id', 'name' },
  heartbeat = { 'session', 'call_id' },
  reading = { 'session', 'call_id', 'number', 'track', 'end_s', 'data' },
  transition = { 'session', unpack(TRANSITION) },
  call_ended = { 'session', 'reason', 'ended_at' },
  sweep = { 'lost_after_s' },
}

-- Those of them that are numbers.
local NUMERIC = {
  number = true, started_at = true, ended_at = true, at = true, end_s = true, since_s = true,
  at_s = true, probability = true, peak = true, lost_after_s = true,
}

-- Applies one command; raises an error before it changes anything if the command is not complete.
local function apply(kind, f)
  if not command[kind] then error({ err = 'BADENTRY got an unknown kind of command' }) end
  for _, name in ipairs(REQUIRED[kind]) do
    if not f[name] then
      error({ err = 'BADENTRY got a command ' .. kind .. ' without ' .. name })
    elseif NUMERIC[name] and not tonumber(f[name]) then
      error({ err = 'BADENTRY got a text as ' .. name .. ' of ' .. kind .. ', expected a number' })
    end
  end
  if f.session and redis.call('EXISTS', erased_key(f.session)) == 1 then return end
  command[kind](f)
end

-- The id stands for the data as such. The history is another one after a failover, which makes a
-- replica the master, and after a restart: what was confirmed last may be missing then. A Redis that
-- does not say it has none.
local data = redis.call('GET', DATA)
if not data then
  data = ARGV[6]
  redis.call('SET', DATA, data)
end
local told, replication = pcall(redis.call, 'INFO', 'replication')
local history = told and string.match(replication, 'master_replid:(%x+)')
if history then data = data .. ' ' .. history end

-- Stop before the first command if this is not the data that the writer knows.
if ARGV[5] ~= '' and ARGV[5] ~= data then return { 0, '', data, {} } end

-- Read one command after the other from ARGV and apply it.
local i, applied, problem = 7, 0, ''
while i <= #ARGV do
  local kind, count = ARGV[i], tonumber(ARGV[i + 1])
  local f = {}
  for j = i + 2, i + count, 2 do f[ARGV[j]] = ARGV[j + 1] end
  local ok, failure = pcall(apply, kind, f)
  if not ok then
    problem = type(failure) == 'table' and failure.err or tostring(failure)
    break
  end
  i, applied = i + 2 + count, applied + 1
end
local counts = {}
for session, count in pairs(superseded) do
  counts[#counts + 1] = session
  counts[#counts + 1] = count
end
return { applied, problem, data, counts }
