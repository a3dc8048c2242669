-- What write.lua and act.lua share, the mutes that people set above all: this text comes before theirs.

-- Returns a table of {name1, value1, ...}, the reply of HGETALL.
local function table_of(list)
  local fields = {}
  for i = 1, #list, 2 do fields[list[i]] = list[i + 1] end
  return fields
end

local MUTES = 'kanjo:mutes' -- hash: a mute as JSON, by its id; keys.py has the same key

-- Returns whether a mute is of an alert: all that the mute names must be the alert's.
-- alert: session, queue, emotion
local function matches(mute, alert)
  for _, name in ipairs({ 'session', 'queue', 'emotion' }) do
    if type(mute[name]) == 'string' and mute[name] ~= alert[name] then return false end
  end
  return true
end

-- Returns until when an alert is muted (epoch seconds, as a text), or nil if it is not now.
-- alert: session, queue, emotion, policy_until (by the policy file; absent if it mutes it not)
local function muted_until(alert, now_s)
  local until_s = tonumber(alert.policy_until or 0) or 0
  for _, text in ipairs(redis.call('HVALS', MUTES)) do
    local is_json, mute = pcall(cjson.decode, text)
    if is_json and tonumber(mute['until']) and matches(mute, alert) then
      until_s = math.max(until_s, mute['until'])
    end
  end
  return until_s > now_s and string.format('%.3f', until_s) or nil
end
