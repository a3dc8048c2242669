-- What people do: with one alert, or by muting some. One command, applied whole or not at all.
-- shared.lua comes before this text.
--
-- KEYS: none, as in write.lua, which says what the keys are.
-- ARGV[1] = the command: act, mute, unmute
-- ARGV[2] = longest kanjo:events
-- ARGV[3] = longest kanjo:audit
-- ARGV[4] = the entry of the audit, a JSON object
-- ARGV[5+] = the arguments of the command
--
-- Returns 'done', or why nothing was changed: 'changed', 'known', 'full', 'gone'.

local EVENTS, ALERTS, AUDIT = 'kanjo:events', 'kanjo:alerts', 'kanjo:audit'
local CALLS_LIVE = 'kanjo:calls:live'
local events_limit, audit_limit = ARGV[2], ARGV[3]

local time = redis.call('TIME')
local now_s = tonumber(time[1]) + tonumber(time[2]) / 1e6

-- Returns {name1, value1, ...} of a table.
local function flat(fields)
  local list = {}
  for name, value in pairs(fields) do
    list[#list + 1] = name
    list[#list + 1] = value
  end
  return list
end

local function publish(kind, list)
  redis.call('XADD', EVENTS, 'MAXLEN', '~', events_limit, '*', 'kind', kind, unpack(list))
end

local function audit()
  redis.call('XADD', AUDIT, 'MAXLEN', '~', audit_limit, '*', unpack(flat(cjson.decode(ARGV[4]))))
end

-- Gives the whole alert to subscribers, as one version later.
local function publish_alert(key)
  redis.call('HINCRBY', key, 'version', 1)
  publish('alert', redis.call('HGETALL', key))
end

-- Looks again until when each open alert of a live call is muted, and publishes those that changed.
-- An alert that is muted no more was muted until now.
local function mute_again()
  for _, session in ipairs(redis.call('ZRANGE', CALLS_LIVE, 0, -1)) do
    for _, id in ipairs(redis.call('SMEMBERS', 'kanjo:session:' .. session .. ':alerts')) do
      local key = 'kanjo:alert:' .. id
      local alert = table_of(redis.call('HGETALL', key))
      if alert.state == 'pending' or alert.state == 'firing' then
        local until_s = muted_until(alert, now_s)
        if not until_s and tonumber(alert.muted_until or 0) > now_s then
          until_s = string.format('%.3f', now_s)
        end
        if until_s and until_s ~= alert.muted_until then
          redis.call('HSET', key, 'muted_until', until_s)
          publish_alert(key)
        end
      end
    end
  end
end

-- Deletes the mutes that have ended.
local function delete_old_mutes()
  for id, text in pairs(table_of(redis.call('HGETALL', MUTES))) do
    local is_json, mute = pcall(cjson.decode, text)
    if not is_json or mute['until'] <= now_s then redis.call('HDEL', MUTES, id) end
  end
end

-- Gives all mutes to subscribers.
local function publish_mutes()
  publish('mutes', { 'data', '[' .. table.concat(redis.call('HVALS', MUTES), ',') .. ']' })
end

local command = {}

-- Stores what an action makes of an alert, if nothing else has changed it since it was read.
-- ARGV[5] = alert id, [6] = the version that was read, [7] = action id, [8] = the action as JSON,
-- [9] = most actions of an alert, [10] = names of all fields of a handling, as JSON,
-- [11] = the fields after the action, [12] = those of the step for kanjo:alerts, as JSON objects
function command.act()
  local key, actions = 'kanjo:alert:' .. ARGV[5], 'kanjo:alert:' .. ARGV[5] .. ':actions'
  local session = redis.call('HGET', key, 'session')
  if not session or redis.call('EXISTS', 'kanjo:erased:' .. session) == 1 then return 'gone' end
  if redis.call('HEXISTS', actions, ARGV[7]) == 1 then return 'known' end
  if tonumber(redis.call('HGET', key, 'version') or 0) ~= tonumber(ARGV[6]) then return 'changed' end
  if redis.call('HLEN', actions) >= tonumber(ARGV[9]) then return 'full' end

  redis.call('HDEL', key, unpack(cjson.decode(ARGV[10])))
  local after = flat(cjson.decode(ARGV[11]))
  if #after > 0 then redis.call('HSET', key, unpack(after)) end
  redis.call('HSET', actions, ARGV[7], ARGV[8])
  -- The actions expire with their alert.
  local left_ms = redis.call('PTTL', key)
  if left_ms > 0 then redis.call('PEXPIRE', actions, left_ms) end
  redis.call('XADD', ALERTS, '*', unpack(flat(cjson.decode(ARGV[12]))))
  audit()
  publish_alert(key)
  return 'done'
end

-- Adds a mute. ARGV[5] = its id, [6] = the mute as JSON, [7] = most mutes
function command.mute()
  if redis.call('HEXISTS', MUTES, ARGV[5]) == 1 then return 'known' end
  delete_old_mutes()
  if redis.call('HLEN', MUTES) >= tonumber(ARGV[7]) then return 'full' end
  redis.call('HSET', MUTES, ARGV[5], ARGV[6])
  audit()
  mute_again()
  publish_mutes()
  return 'done'
end

-- Ends a mute. ARGV[5] = its id
function command.unmute()
  if redis.call('HDEL', MUTES, ARGV[5]) == 0 then return 'known' end
  delete_old_mutes()
  audit()
  mute_again()
  publish_mutes()
  return 'done'
end

return command[ARGV[1]]()
