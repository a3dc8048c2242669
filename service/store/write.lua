-- Applies a batch of writes in order and stops at the first that fails. Every write is idempotent.
-- KEYS: none; each kind of key has its function below, so one Redis, not a cluster, holds them all.
-- ARGV[1] = retention in seconds, ARGV[2] = longest kanjo:events, ARGV[3] = longest readings of a call
-- ARGV[4...] = for every write: its kind, how many arguments follow, and these: name, value, ...
-- Returns {how many were applied, what went wrong with the one after them, or ''}.

local retention_s, events_cap, readings_cap = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local retention_ms = string.format('%d', retention_s * 1000)

-- Redis's own clock, the same for every instance of the service.
local time = redis.call('TIME')
local now_s = tonumber(time[1]) + tonumber(time[2]) / 1e6
local now = string.format('%.3f', now_s)
local oldest = string.format('%.3f', now_s - retention_s)
local oldest_id = string.format('%.0f', math.max(0, now_s - retention_s) * 1000)

local ALERTS, EVENTS = 'kanjo:alerts', 'kanjo:events'
local FIRED, STARTED, LIVE = 'kanjo:alerts:by-time', 'kanjo:calls:by-time', 'kanjo:calls:live'
local function alert_key(alert_id) return 'kanjo:alert:' .. alert_id end
-- A call named as another's readings are keeps its distance from them.
local function call_key(call_id)
  return 'kanjo:call:' .. call_id .. (call_id:find(':readings:*$') and ':' or '')
end
local function readings_key(call_id) return 'kanjo:call:' .. call_id .. ':readings' end
local function session_key(session) return 'kanjo:session:' .. session end
local function session_alerts_key(session) return 'kanjo:session:' .. session .. ':alerts' end

local TRANSITION = {
  'alert_id', 'number', 'call_id', 'track', 'emotion', 'state', 'since_s', 'at_s', 'probability',
  'peak', 'at',
}
local CLOSES = { pending = 'lapsed', firing = 'resolved' }

local function pairs_of(f, names)
  local list = {}
  for _, name in ipairs(names) do
    list[#list + 1] = name
    list[#list + 1] = f[name]
  end
  return list
end

local function table_of(list)
  local f = {}
  for i = 1, #list, 2 do f[list[i]] = list[i + 1] end
  return f
end

local function expire(key) redis.call('PEXPIRE', key, retention_ms) end

local function announce(kind, list)
  redis.call('XADD', EVENTS, 'MAXLEN', '~', events_cap, '*', 'kind', kind, unpack(list))
  expire(EVENTS)
end

local write = {}

-- session, call_id, bridge, tracks, metadata, started_at
function write.call_started(f)
  if not redis.call('SET', session_key(f.session), f.call_id, 'NX') then return end
  local call = call_key(f.call_id)
  redis.call('DEL', call, readings_key(f.call_id))
  redis.call('HSET', call, 'state', 'live', unpack(pairs_of(f,
    { 'session', 'call_id', 'bridge', 'tracks', 'metadata', 'started_at' })))
  redis.call('ZADD', STARTED, f.started_at, f.call_id)
  redis.call('ZADD', LIVE, now, f.session)
  announce('call_started', redis.call('HGETALL', call))
end

-- session, call_id, tracks, metadata: a live call has more tracks now; they only ever get more
function write.call_joined(f)
  local call = call_key(f.call_id)
  local session, state, tracks = unpack(redis.call('HMGET', call, 'session', 'state', 'tracks'))
  if session ~= f.session or state ~= 'live' or #tracks >= #f.tracks then return end
  redis.call('HSET', call, 'tracks', f.tracks, 'metadata', f.metadata)
  announce('call_started', redis.call('HGETALL', call))
end

-- session, call_id: a call that was taken for lost comes back
function write.heartbeat(f)
  redis.call('ZADD', LIVE, 'XX', now, f.session)
  local call = call_key(f.call_id)
  local session, reason = unpack(redis.call('HMGET', call, 'session', 'reason'))
  if session == f.session and reason == 'lost' then
    redis.call('HSET', call, 'state', 'live')
    redis.call('HDEL', call, 'reason', 'ended_at')
    for _, key in ipairs({ call, readings_key(f.call_id), session_key(session),
      session_alerts_key(session) }) do
      redis.call('PERSIST', key)
    end
    redis.call('ZADD', LIVE, now, session)
    announce('call_started', redis.call('HGETALL', call))
  end
end

-- session, call_id, number, track, end_s, data
function write.reading(f)
  local call, readings = call_key(f.call_id), readings_key(f.call_id)
  local session, last, state = unpack(redis.call('HMGET', call, 'session', 'readings', 'state'))
  if session ~= f.session or tonumber(f.number) <= tonumber(last or 0) then return end
  redis.call('XADD', readings, 'MAXLEN', '~', readings_cap, '*', 'data', f.data)
  redis.call('HSET', call, 'readings', f.number, 'last:' .. f.track, f.data)
  if state == 'live' then
    if tonumber(f.end_s) > tonumber(redis.call('HGET', call, 'duration_s') or 0) then
      redis.call('HSET', call, 'duration_s', f.end_s)
    end
  else
    expire(readings)
  end
  announce('reading', { 'data', f.data })
end

-- session, and what TRANSITION names
function write.transition(f)
  local alert = alert_key(f.alert_id)
  local number, state = unpack(redis.call('HMGET', alert, 'number', 'state'))
  if tonumber(f.number) <= tonumber(number or 0) then return end
  if state and not CLOSES[state] then return end
  local step = pairs_of(f, TRANSITION)
  redis.call('XADD', ALERTS, 'MINID', '~', oldest_id, '*', unpack(step))
  expire(ALERTS)
  redis.call('HSET', alert, 'session', f.session, unpack(step))
  if f.state == 'firing' then
    redis.call('HSET', alert, 'fired_at_s', f.at_s, 'fired_at', f.at)
    redis.call('ZADD', FIRED, f.at, f.alert_id)
  elseif f.state == 'resolved' then
    redis.call('HSET', alert, 'resolved_at_s', f.at_s)
  end
  expire(alert)
  redis.call('SADD', session_alerts_key(f.session), f.alert_id)
  expire(session_alerts_key(f.session))
  announce('alert', redis.call('HGETALL', alert))
end

-- session, reason, ended_at, duration_s (when it is known)
function write.call_ended(f)
  redis.call('ZREM', LIVE, f.session)
  local call_id = redis.call('GET', session_key(f.session))
  if not call_id then return end
  local call = call_key(call_id)
  local session, state, duration_s =
    unpack(redis.call('HMGET', call, 'session', 'state', 'duration_s'))
  local own = session == f.session
  if own and state ~= 'live' then return end
  local at_s = f.duration_s or (own and duration_s) or '0'
  local alert_ids = redis.call('SMEMBERS', session_alerts_key(f.session))
  table.sort(alert_ids)
  for _, alert_id in ipairs(alert_ids) do
    local alert = table_of(redis.call('HGETALL', alert_key(alert_id)))
    if CLOSES[alert.state] then
      alert.state = CLOSES[alert.state]
      alert.number = string.format('%d', alert.number + 1)
      if tonumber(at_s) > tonumber(alert.at_s) then alert.at_s = at_s end
      alert.at = f.ended_at
      write.transition(alert)
    end
  end
  expire(session_key(f.session))
  expire(session_alerts_key(f.session))
  if not own then return end -- another session has taken this call id over
  redis.call('HSET', call, 'state', 'ended', 'reason', f.reason, 'ended_at', f.ended_at,
    'duration_s', at_s)
  expire(call)
  expire(readings_key(call_id))
  announce('call_ended', redis.call('HGETALL', call))
end

-- lost_after_s: ends the calls whose service went silent, and forgets what is older than the retention.
function write.sweep(f)
  local silent_since = string.format('%.3f', now_s - tonumber(f.lost_after_s))
  for _, session in ipairs(redis.call('ZRANGEBYSCORE', LIVE, '-inf', silent_since)) do
    write.call_ended({ session = session, reason = 'lost', ended_at = now })
  end
  redis.call('XTRIM', ALERTS, 'MINID', oldest_id)
  redis.call('XTRIM', EVENTS, 'MINID', oldest_id)
  redis.call('ZREMRANGEBYSCORE', FIRED, '-inf', oldest)
  redis.call('ZREMRANGEBYSCORE', STARTED, '-inf', oldest)
end

local i, applied = 4, 0
while i <= #ARGV do
  local kind, count = ARGV[i], tonumber(ARGV[i + 1])
  local f = {}
  for j = i + 2, i + count, 2 do f[ARGV[j]] = ARGV[j + 1] end
  local ok, problem = pcall(write[kind], f)
  if not ok then
    return { applied, type(problem) == 'table' and problem.err or tostring(problem) }
  end
  i, applied = i + 2 + count, applied + 1
end
return { applied, '' }
